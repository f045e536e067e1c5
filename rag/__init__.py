"""Retrieve passages from Markdown documentation by hybrid search (dense vectors and BM25), or abstain.

The package imports nothing of the rest of the project, and importing it loads no model.
"""
