"""A sample's loss, from the trainer's tensor to a row of the log on disk."""
