"""The snapshot of one save step: its structs, its file, comparing and exporting it."""
