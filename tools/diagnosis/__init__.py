"""Names the fault of a host by rules over what the tools reported."""
