"""The texts that the app tells a model, for tests of whatever renders them."""

from pathlib import Path

from model.prompting.system_prompts import load_prompt_texts

TEXTS = load_prompt_texts(Path(__file__).parents[1] / "onboarding" / "prompts")
