"""Benchmarks: commands, not tests. Compare their figures within one machine and one hour only."""
