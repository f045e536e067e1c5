"""Sends folders to the Hugging Face Hub; writes our pages as a dataset."""
