"""Logger backends: one file per tracker."""
