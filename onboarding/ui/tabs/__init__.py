"""Draws the tabs that never wait for the model: search, diagnostics, insights."""
