"""Labelled sentences: each row stands on its own passages, so that a reader can check it without looking anything up."""

import json
from pathlib import Path
from typing import Any

import pytest

EVALS = Path(__file__).with_name("evals")
KINDS = {
    "polarity", "subject", "parameter", "command", "condition", "condition_negated", "purpose", "count", "version", "name",
    "invention", "example_value",
}  # fmt: skip


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EVALS / f"sentences_{name}.jsonl").read_text(encoding="utf-8").splitlines()]


PASSAGES = {passage["id"]: passage for passage in _rows("passages")}


@pytest.mark.parametrize("half", ["own", "fresh"])
def test_a_bad_sentence_has_a_kind_and_a_reason(half: str) -> None:
    for row in _rows(half):
        assert row["label"] in {"holds", "not_found", "against"}
        bad = row["label"] != "holds"
        assert (row["kind"] in KINDS) == bad == bool(row["why"]), row["id"]
        assert bad or not row["harmful"], row["id"]


@pytest.mark.parametrize("half", ["own", "fresh"])
def test_evidence_stands_verbatim_in_the_passage_that_decides(half: str) -> None:
    for row in _rows(half):
        given = [PASSAGES[id_] for id_ in row["passages"]]
        assert row["evidence"] or row["label"] != "against", row["id"]
        if row["evidence"]:
            passage = given[row["source"] - 1]
            headings = " > ".join([passage["title"], *passage["headings"]])
            assert row["evidence"] in f"{headings}\n{passage['text']}", row["id"]


def test_the_halves_share_no_question_and_every_passage_is_used() -> None:
    own, fresh = _rows("own"), _rows("fresh")
    assert not {row["question"] for row in own} & {row["question"] for row in fresh}
    assert len({row["id"] for row in own + fresh}) == len(own) + len(fresh)
    assert {id_ for row in own + fresh for id_ in row["passages"]} == set(PASSAGES)
