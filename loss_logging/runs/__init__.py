"""Where a run is: configuration, paths, lock, finding it."""
