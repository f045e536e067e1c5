"""Read what arrives in pieces: a model's thoughts apart from its answer, and the stream of a foreign server."""
