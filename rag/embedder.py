"""The encoder for users of the package: `from rag.embedder import Embedder`."""

from rag.embedding.embedder import DEFAULT_MODEL, Embedder

__all__ = ["DEFAULT_MODEL", "Embedder"]
