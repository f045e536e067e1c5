"""Searches an index: query, fusion, rerank, abstaining and extract."""
