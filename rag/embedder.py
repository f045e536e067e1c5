"""Import the encoder from here in other projects: `from rag.embedder import Embedder`."""

from rag.embedding.embedder import DEFAULT_MODEL, Embedder

__all__ = ["DEFAULT_MODEL", "Embedder"]
