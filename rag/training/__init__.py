"""Fit the weights of fusion, rerank and abstaining."""
