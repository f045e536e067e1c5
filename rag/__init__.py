"""Retrieval over Markdown documentation: chunking, embedding, a dense + BM25 index, and calibrated abstaining.

Nothing in this package imports the rest of the project, and importing the package loads no model.
"""
