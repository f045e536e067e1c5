"""Gives every tab the theme, the translated texts, safe markup and the hooks into the page."""
