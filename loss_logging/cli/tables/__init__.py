"""Reports, checks and comparisons as tables in a terminal."""
