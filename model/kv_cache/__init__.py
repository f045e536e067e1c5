"""The states of prompts that were read: moved, packed, and kept for whoever needs them."""
