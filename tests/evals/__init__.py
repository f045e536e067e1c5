"""Measurements on judged questions: `python -m tests.evals retrieval|routing|tools|answers ...`."""
