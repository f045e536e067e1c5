"""Answers a message with whatever parts are loaded; everything behind "ask"."""
