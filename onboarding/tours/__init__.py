"""The tours' words, and their exercises without widgets."""
