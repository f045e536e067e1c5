"""Embed texts as vectors, with llama.cpp or sentence-transformers."""
