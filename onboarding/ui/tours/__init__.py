"""Draws the guided tours."""
