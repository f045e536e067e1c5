"""Reads a message as it stands in its talk: the question that a short follow-up stands for, in twelve languages."""
