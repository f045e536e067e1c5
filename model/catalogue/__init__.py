"""Turn a model's name or path into a running engine: entries, download, lock and load."""
