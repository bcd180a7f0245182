"""The ground: whole files, warnings, extras, checked configurations, one way to open DuckDB. Uses no other room."""
