"""The knowledge corpus: every page is complete, links well, holds no secret and is written in own words."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

from tests.data.make_upstream_shingles import fingerprint, load, run_hash, runs, save

CORPUS = Path(__file__).parents[2] / "rag" / "corpus"
PAGES = sorted(CORPUS.glob("*.md"))
FENCED = re.compile(r"^(?P<fence>```|~~~).*?^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)]*)\)")
# Hashes that the snapshot's own text produced; they show that the committed fingerprint is the right one.
UPSTREAM_HASHES = (0x15E4DBA3CD, 0x2BF57A0A76, 0xD8A1D17801)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def front_matter(page: Path) -> dict[str, Any]:
    """Return the fields between the `---` lines of `page`."""
    fields: dict[str, Any] = yaml.safe_load(page.read_text(encoding="utf-8").split("---\n")[1])
    return fields


def questions(page: Path) -> list[str]:
    """Return every question of `page`, whatever its section."""
    return [question for listed in front_matter(page)["questions"].values() for question in listed]


def body(page: Path) -> str:
    """Return the Markdown of `page` behind its front matter, fenced code included."""
    return page.read_text(encoding="utf-8").split("---\n", maxsplit=2)[2]


def prose(page: Path) -> str:
    """Return the sentences of a page: its body without fenced code."""
    return FENCED.sub("\n", body(page))


def secrets(path: Path) -> list[str]:
    """Return kind and line of what detect-secrets takes for a secret in `path`, and of Hub tokens, which it misses.

    Dismisses a keyword hit outside code whose value contains blanks: there the detector has run on from a word
    such as `password` into the sentence behind it.
    """
    found = SecretsCollection()
    with default_settings():
        found.scan_file(str(path))
    text = path.read_text(encoding="utf-8")
    in_code = {line for block in FENCED.finditer(text) for line in block[0].splitlines()}
    lines = text.splitlines()
    tokens = [f"Hub token in line {number}" for number, line in enumerate(lines, 1) if HUB_TOKEN.search(line)]
    return tokens + [
        f"{secret.type} in line {secret.line_number}"
        for _, secret in found
        if secret.type != "Secret Keyword"
        or lines[secret.line_number - 1] in in_code
        or " " not in str(secret.secret_value)
    ]


def test_the_corpus_is_large_enough_to_answer_from() -> None:
    assert len(PAGES) >= 40
    assert sum(len(body(page).split()) for page in PAGES) >= 25_000


@every_page
def test_front_matter_is_complete_and_typed(page: Path) -> None:
    assert page.read_text(encoding="utf-8").startswith("---\n")
    fields = front_matter(page)
    assert set(fields) - {"differs"} == {"title", "topics", "sources", "questions"}
    assert isinstance(fields["title"], str) and fields["title"].strip()
    for name, items, least in (
        ("topics", fields["topics"], 1),
        ("sources", fields["sources"], 1),
        ("questions", questions(page), 4),
    ):
        assert len(items) >= least, name
        assert all(isinstance(item, str) and item.strip() for item in items), name
        assert len(set(items)) == len(items), f"{name} repeats an entry"


@every_page
def test_every_question_is_listed_under_a_section_of_its_page(page: Path) -> None:
    sections = set(re.findall(r"^#{2,3} (.+)$", prose(page), re.MULTILINE))
    assert set(front_matter(page)["questions"]) <= sections
    assert set(front_matter(page).get("differs", {})) <= sections


@every_page
def test_no_field_or_heading_stands_twice_in_front_matter(page: Path) -> None:
    """YAML keeps the last one, and what stood under the first is lost in silence."""
    nodes = [yaml.compose(page.read_text(encoding="utf-8").split("---\n")[1])]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value]
            assert len(set(names)) == len(names)
            nodes += [value for _, value in node.value]


@every_page
def test_what_upstreams_files_say_otherwise_is_one_short_clause_each(page: Path) -> None:
    for files in front_matter(page).get("differs", {}).values():
        for path, says in files.items():
            assert re.fullmatch(r"[\w./@+-]+", path), path
            assert 3 <= len(says.split()) <= 22, says
            assert not says.endswith("."), says


@every_page
def test_a_page_has_one_title_and_several_sections(page: Path) -> None:
    headings = re.findall(r"^(#+) (.+)$", prose(page), re.MULTILINE)
    assert [text for level, text in headings if level == "#"] == [front_matter(page)["title"]]
    sections = [text for level, text in headings if level == "##"]
    assert len(sections) >= 3
    assert len(set(sections)) == len(sections)
    assert {level for level, _ in headings} <= {"#", "##", "###"}


@every_page
def test_code_fences_are_closed(page: Path) -> None:
    assert "```" not in prose(page)
    assert "~~~" not in prose(page)


@every_page
def test_links_and_sources_are_well_formed(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        parts = urlsplit(target)
        local = not parts.scheme and (CORPUS / parts.path).is_file() and bool(parts.path)
        assert local or (parts.scheme == "https" and parts.netloc), target
    for source in front_matter(page)["sources"]:
        path = PurePosixPath(source)
        assert re.fullmatch(r"[\w./@+-]+", source), source
        assert not path.is_absolute() and ".." not in path.parts and str(path) == source, source


@every_page
def test_no_page_holds_a_secret(page: Path) -> None:
    assert secrets(page) == []


@pytest.mark.parametrize(
    "line",
    ["id = " + "AKIA" + "IOSFODNN7EXAMPLZ", "api_" + "key = 'q7Rf" + "93kLmZx81TbVw0'", "hf_" + "aB3" * 11],
    ids=["access-key", "keyword", "hub-token"],
)
def test_the_secret_scan_finds_what_it_should(line: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```bash\n{line}\n```\n")
    assert len(secrets(page)) >= 1


@pytest.fixture(scope="module")
def upstream() -> frozenset[int]:
    """Return the hashes of every twelve-word run of the upstream documentation."""
    return load()


@every_page
def test_no_twelve_words_in_a_row_are_upstreams(page: Path, upstream: frozenset[int]) -> None:
    said = (says for files in front_matter(page).get("differs", {}).values() for says in files.values())
    mine = chain(runs(prose(page)), chain.from_iterable(runs(text) for text in chain(questions(page), said)))
    assert [run for run in mine if run_hash(run) in upstream] == []


def test_the_fingerprint_is_the_snapshots(upstream: frozenset[int]) -> None:
    assert len(upstream) > 200_000
    assert set(UPSTREAM_HASHES) <= upstream
    assert not {number ^ 1 for number in UPSTREAM_HASHES} & upstream


def test_a_copied_sentence_is_found_whatever_its_layout(tmp_path: Path) -> None:
    sentence = "One two three four five six seven eight nine ten eleven twelve thirteen."
    filler = (f"{number} {' '.join(f'w{number}x{place}' for place in range(12))}" for number in range(2_000))
    made = fingerprint([sentence, *filler])
    save(made, tmp_path / "print.bin")
    known = load(tmp_path / "print.bin")
    copy = "one TWO three,\n> four *five* six (seven) eight nine ten eleven twelve"
    assert [run_hash(run) in known for run in runs(copy)] == [True]
    assert not any(run_hash(run) in known for run in runs(copy.replace("seven", "8")))
    assert sorted(known) == np.unique(made).tolist()


def test_no_two_pages_share_a_title_or_a_question() -> None:
    asked = Counter(question.casefold() for page in PAGES for question in questions(page))
    titles = Counter(front_matter(page)["title"].casefold() for page in PAGES)
    assert [text for text, times in (asked + titles).items() if times > 1] == []
