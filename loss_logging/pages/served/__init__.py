"""The page over the live log, served on this machine."""
