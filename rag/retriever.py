"""Import retrieval from here in other projects: `from rag.retriever import open_or_build`."""

from rag.search.retriever import Retriever, open_or_build

__all__ = ["Retriever", "open_or_build"]
