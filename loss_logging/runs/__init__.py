"""The place of a run: its configuration, paths and lock, and finding it."""
