"""The base: complete files, warnings, extras, checked configurations, opening DuckDB. It uses no other room."""
