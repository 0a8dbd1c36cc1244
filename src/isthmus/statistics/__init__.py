"""L2: pure functions over arrays, one file per method."""
