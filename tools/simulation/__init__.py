"""Simulate hosts: the state of a machine, and the view of it that a tool gets at one moment."""
