"""Follows each example through torch's computation: the layouts of tensors, and their changes by each call."""
