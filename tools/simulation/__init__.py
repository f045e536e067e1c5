"""Simulates hosts: what is true of a machine, and what a tool may see of it at one moment."""
