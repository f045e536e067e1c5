"""The errors of the package. Each message of an index error names the command that mends the index."""


class RagError(Exception):
    """The base of every error that this package raises on purpose."""


class IndexMissing(RagError):
    """No index lies at the given path."""


class IndexStale(RagError):
    """The index was built with another format, model, dimension or corpus."""


class IndexCorrupt(RagError):
    """A file of the index is missing, truncated or altered."""


class SourceUnreadable(RagError):
    """The source of a corpus cannot be read."""


class TargetRefused(RagError):
    """The folder to write an index into holds something else."""


class ModelMissing(RagError):
    """The embedding model cannot be found or loaded."""


class SecretFound(RagError):
    """A text to be published holds what looks like a credential or personal data."""


class RowsUnreadable(RagError):
    """A file of judged questions or cases is not what it should be; the message names the line."""
