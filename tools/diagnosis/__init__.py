"""Name the fault of a host by rules over the tools' results."""
