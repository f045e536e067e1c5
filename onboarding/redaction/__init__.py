"""Redacts credentials and personal data in what visitors write, before it is kept or sent.

Callers use `redact(text)` alone; each module beside this file states what it covers and what it does not.
"""

from onboarding.redaction.redact import redact

__all__ = ["redact"]
