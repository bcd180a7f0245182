"""A training run with planted faults, small enough to watch: ``loss-logging demo``."""
