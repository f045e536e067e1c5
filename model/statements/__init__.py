"""Reads sentences, and evidence in pieces, as clauses of words that compare, whatever their endings and synonyms."""
