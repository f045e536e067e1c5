"""Draws the page around the tabs: header, welcome, feedback."""
