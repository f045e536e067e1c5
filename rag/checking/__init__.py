"""Hold the pages against a checkout of upstream: what they claim must be there."""
