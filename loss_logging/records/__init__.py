"""The loss of an example, from the trainer's tensor to a row of the log on disk."""
