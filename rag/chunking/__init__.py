"""Splits documents into units and chunks."""
