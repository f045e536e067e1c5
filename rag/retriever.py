"""Import retrieval from here in other projects: `from rag.retriever import open_or_build`."""

from rag.search.retriever import Retriever, open_or_build
from rag.search.tiers import TwoTiers

__all__ = ["Retriever", "TwoTiers", "open_or_build"]
