"""Stands between the network and the page: client address, allowlist, rate limits, admission, page cache."""
