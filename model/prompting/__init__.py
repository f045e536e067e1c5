"""Turn a conversation and its evidence into a prompt, in the order that keeps the prefix cache warm."""
