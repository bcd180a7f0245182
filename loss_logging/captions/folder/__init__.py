"""Captions on disk: the folders, tables and archives of trainers."""
