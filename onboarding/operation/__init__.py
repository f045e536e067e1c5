"""Serves whoever operates the Space: logs, health, memory, faults of handlers."""
