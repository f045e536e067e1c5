"""Reads a message and decides about it: features, trained classifiers, marks of attack, a grammar of known names."""
