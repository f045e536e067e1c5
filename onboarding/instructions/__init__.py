"""Make instruction rows for training from our own pages and simulated hosts, split by page."""
