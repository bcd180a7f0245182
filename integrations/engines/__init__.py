"""Engines that evaluate a dataset on more than one machine."""
