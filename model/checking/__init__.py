"""Check what a model writes while it streams: citations, grounding, commands, terminal escapes."""
