"""LossLogger, its recorder, and the reporter process."""
