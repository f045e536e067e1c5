"""Embeds texts as vectors, by llama.cpp or by sentence-transformers."""
