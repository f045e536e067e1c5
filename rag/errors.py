"""Errors of the index. Each message names the command that mends it."""


class RagError(Exception):
    """Base of everything this package raises on purpose."""


class IndexMissing(RagError):
    """No index lies at the given path."""


class IndexStale(RagError):
    """The index was built with another format, model, dimension or corpus."""


class IndexCorrupt(RagError):
    """A file of the index is missing, truncated or altered."""


class SourceUnreadable(RagError):
    """The corpus to index cannot be read."""


class ModelMissing(RagError):
    """The embedding model cannot be found or loaded."""


class SecretFound(RagError):
    """Something that looks like a credential or personal data would have been published."""
