"""Fits the weights of fusion, rerank and abstaining."""
