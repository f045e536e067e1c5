"""Give passages their addresses: the upstream file at its commit, with the line range."""

from collections.abc import Callable, Iterable

from rag.reading.documents import Corpus
from rag.types import Document, Lines

UPSTREAM = "https://github.com/Qubinode/qubinode_navigator"
UPSTREAM_COMMIT = "03ce823946f70ea53e57702986d374c2132aeaac"  # the snapshot our pages rest on


def _source_link(path: str) -> str:
    return path if path.startswith("https://") else f"{UPSTREAM}/blob/{UPSTREAM_COMMIT}/{path}"


def source_links(paths: Iterable[str]) -> tuple[str, ...]:
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
        return f"{origin}/blob/{corpus.commit}/{document.path}#L{lines[0]}-L{lines[1]}"

    return link
