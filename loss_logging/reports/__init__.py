"""The report of one save step: its structs, its file, comparison and export."""
