"""How the Space is used, counted without a person: no address, no message, no identifier that outlives its day."""
