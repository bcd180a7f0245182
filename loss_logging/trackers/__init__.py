"""The delivery of reports and scalars to trackers, each exactly once."""
