"""Build an index, keep it on disk and load it."""
