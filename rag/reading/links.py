"""Give passages their addresses: the upstream file at its commit, with the line range."""

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

from rag.reading.documents import Corpus
from rag.types import Document, Lines

UPSTREAM = "https://github.com/Qubinode/qubinode_navigator"
UPSTREAM_COMMIT = "15e8c636f11529a63bd65bdbcd6407fedb83121a"  # the snapshot that our pages were held against
UPSTREAM_DATE = "2026-02-24"  # of that commit


def _source_link(path: str) -> str:
    return path if path.startswith("https://") else f"{UPSTREAM}/blob/{UPSTREAM_COMMIT}/{quote(path, safe='/#')}"


@lru_cache(maxsize=5_000)  # every page asks for its own, for each of its passages that a search finds
def source_links(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the address of each upstream file that a page names as its source; full addresses stay as they are."""
    return tuple(_source_link(path) for path in paths)


def linker(corpus: Corpus) -> Callable[[Document, Lines], str]:
    """Return the function that gives a line range of a document its address.

    A page that names its sources links to the first of them. Any other file links to itself in the repository of the
    corpus.
    """
    origin = corpus.origin or (UPSTREAM if corpus.commit else "")

    def link(document: Document, lines: Lines) -> str:
        if document.sources:
            return _source_link(document.sources[0])
        if not origin or not corpus.commit:
            return ""
        return f"{origin}/blob/{corpus.commit}/{quote(document.path)}#L{lines[0]}-L{lines[1]}"

    return link
