"""The report page for a browser, as one file."""
