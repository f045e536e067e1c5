"""The inference core: engines, prefix cache, prompt assembly, the chat turn, citations, model catalogue."""
