"""A small training run with planted faults: ``loss-logging demo``."""
