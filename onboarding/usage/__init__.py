"""Counts the Space's usage anonymously: no address, no message, no identifier that outlives its day."""
