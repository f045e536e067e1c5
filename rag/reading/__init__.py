"""Reads a corpus: documents, front matter and links."""
