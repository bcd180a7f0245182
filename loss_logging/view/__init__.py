"""``loss-logging view``: the report page over the whole log, served to this machine alone."""
