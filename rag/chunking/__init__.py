"""Split documents into units and chunks."""
