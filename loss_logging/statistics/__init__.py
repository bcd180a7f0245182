"""All figures: SQL over the log of records."""
