"""Find credentials and personal data in a text."""
