"""Serves the Space's operator: logs, health checks, memory, failures of handlers."""
