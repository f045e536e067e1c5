"""Read a corpus: documents, front matter and links."""
