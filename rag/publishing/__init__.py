"""Send folders to the Hugging Face Hub, and write our pages as a dataset."""
