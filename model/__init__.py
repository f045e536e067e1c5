"""Runs language models: engines, prefix cache, prompt assembly, the chat turn, checks of answers, model catalogue."""
