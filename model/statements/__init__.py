"""Reads sentences as clauses of words that can be compared, whatever their endings and synonyms."""
