"""What trackers are given, each thing once."""
