"""Every figure: SQL over the log of records."""
