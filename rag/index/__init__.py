"""Builds an index, keeps it on disk and loads it."""
