"""Holds the tours' words and exercises. Knows no widgets."""
