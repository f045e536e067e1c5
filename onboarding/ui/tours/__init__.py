"""Draw the guided tours."""
