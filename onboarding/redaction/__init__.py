"""Cutting credentials and personal data out of what visitors write, before it goes anywhere.

`redact(text)` is the one way in; the modules beside this file say what each of them covers and what it does not.
"""

from onboarding.redaction.redact import redact

__all__ = ["redact"]
