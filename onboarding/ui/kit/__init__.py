"""Gives every tab its theme, words, markup and hooks."""
