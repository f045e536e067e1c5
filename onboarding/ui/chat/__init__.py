"""Draws the chat tab and keeps its session."""
