"""The dataset loads back as written, and nothing private or foreign leaves."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from rag.errors import SecretFound, SourceUnreadable
from rag.publishing.dataset import write_dataset

PAGE = """---
title: Ports
topics: [ports]
sources:
  - airflow/README.md
questions:
  - which port does airflow use
---

# Ports

## Airflow

Airflow listens on 8888.{more}
"""
JUDGED = '{"question": "airflow port?", "page": "ports.md", "heading": "Airflow", "kind": "single", "answer_facts": ["8888"]}\n'


def pages(folder: Path, more: str = "") -> Path:
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "ports.md").write_text(PAGE.replace("{more}", more))
    return corpus


def test_the_dataset_loads_back_with_pandas_as_it_was_written(tmp_path: Path) -> None:
    judged = tmp_path / "judged.jsonl"
    judged.write_text(JUDGED + '{"question": "pizza?", "kind": "unanswerable"}\n')
    write_dataset(pages(tmp_path), judged, tmp_path / "out", "someone/pages")
    passages = pd.read_parquet(tmp_path / "out" / "data" / "passages.parquet")
    row = passages.iloc[0]
    assert (row["page"], list(row["headings"]), row["licence"]) == ("ports.md", ["Airflow"], "CC-BY-4.0")
    assert row["text"].endswith("Airflow listens on 8888.")
    assert row["sources"][0].endswith("/airflow/README.md")
    questions = pq.read_table(tmp_path / "out" / "data" / "questions_judged.parquet").to_pylist()
    assert [(item["page"], item["answerable"]) for item in questions] == [("ports.md", True), ("", False)]
    train = pq.read_table(tmp_path / "out" / "data" / "questions_train.parquet").to_pylist()
    assert [item["question"] for item in train] == ["which port does airflow use"]
    card = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    assert [config["config_name"] for config in card["configs"]] == ["passages", "questions", "judged"]


def test_each_page_lies_in_one_split_and_none_is_empty(tmp_path: Path) -> None:
    rows = write_dataset(Path("rag/corpus"), None, tmp_path / "out", "someone/pages")
    found = {
        split: pq.read_table(tmp_path / "out" / "data" / f"questions_{split}.parquet").to_pylist()
        for split in ("train", "validation", "test")
    }
    held = {split: {row["page"] for row in listed} for split, listed in found.items()}
    assert not held["train"] & held["test"]
    assert not held["train"] & held["validation"]
    assert not held["validation"] & held["test"]
    every = sum(len(listed) for listed in found.values())
    assert all(0.05 * every < len(found[split]) < 0.2 * every for split in ("validation", "test"))
    card = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    files = {entry["path"] for entry in card["configs"][1]["data_files"]}
    assert files | {"data/passages.parquet"} == set(rows)


def test_the_card_names_the_repository_the_licence_and_the_counts(tmp_path: Path) -> None:
    write_dataset(pages(tmp_path), None, tmp_path / "out", "someone/pages")
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert "hf://datasets/someone/pages/data/passages.parquet" in card
    assert "1 pages" in card
    assert "$" not in card


@pytest.mark.parametrize(
    "private", [" Ask jane.doe@corp.io.", " key hf_" + "abcdefghijklmnopqrstuvwxyzABCDEF12", " 52.17.93.4"]
)
def test_a_page_with_something_private_stops_it_before_anything_is_written(tmp_path: Path, private: str) -> None:
    corpus = pages(tmp_path, private)
    (corpus / "other.md").write_text(PAGE.replace("{more}", " Or 80."))
    with pytest.raises(SecretFound, match=r"ports\.md"):
        write_dataset(corpus, None, tmp_path / "out", "someone/pages")
    assert not (tmp_path / "out").exists()


def test_a_judged_question_with_something_private_stops_it_too(tmp_path: Path) -> None:
    judged = tmp_path / "judged.jsonl"
    judged.write_text('{"question": "why does jane.doe@corp.io get no mail", "kind": "unanswerable"}\n')
    with pytest.raises(SecretFound, match="questions_judged"):
        write_dataset(pages(tmp_path), judged, tmp_path / "out", "someone/pages")


def test_upstream_pages_are_refused(tmp_path: Path) -> None:
    corpus = pages(tmp_path)
    (corpus / "README.md").write_text("# Upstream\n\nText.\n")
    with pytest.raises(SourceUnreadable, match=r"README\.md names no sources"):
        write_dataset(corpus, None, tmp_path / "out", "someone/pages")
