"""Bounds what comes in by sockets, and refuses what would go out by them."""
