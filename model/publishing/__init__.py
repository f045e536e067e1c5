"""Write a model repository for the Hub: one GGUF, its checksum and its card."""
