"""Reads a message of twelve languages as English words: one spelling, a lexicon, a gloss."""
