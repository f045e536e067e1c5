"""Train LoRA adapters of language models on instruction rows; not loaded by the app."""
