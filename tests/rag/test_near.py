"""What a question turns on and no leading passage speaks of is named, in the visitor's words, and nothing else is."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rag.embedding.embedder import Embedder
from rag.reading.rows import read_rows
from rag.search.near import (
    NO_WORD,
    QUESTION_SIGNALS,
    WORD_SIGNALS,
    Gatherer,
    NearEvidence,
    Nearness,
    load_nearness,
    load_word_kinds,
    rarity,
    save_word_kinds,
)
from rag.search.query import load_glossary
from rag.search.retriever import Retriever, open_or_build
from tests.rag_fakes import WordHashEncoder

PAGES = {
    "router.md": "# Router\n\n## Ports of the router\n\nSet the address of eth1 with `set interfaces`. Version 2.1 runs.\n",
    "gpu.md": "# Guests\n\n## Graphics\n\nTo pass a GPU through to a guest, write its address into the file system.\n",
    "kvm.md": "# Hosts\n\n## Memory\n\nThe hypervisor keeps a quarter of the RAM; a mirror keeps the images.\n",
}
BY_RARITY = Nearness(
    words=np.array([2.0 * (name in {"unknown", "rare"}) for name in WORD_SIGNALS]),
    word_bias=-3.0,
    question=np.zeros(len(QUESTION_SIGNALS)),
    bias=0.0,
    threshold=0.0,
    kind=np.zeros(64),
)


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    folder = tmp_path_factory.mktemp("near")
    (folder / "pages").mkdir()
    for name, text in PAGES.items():
        (folder / "pages" / name).write_text(text)
    found = open_or_build(folder / "pages", folder / "index", WordHashEncoder(), threshold=0.0)
    found._nearness = BY_RARITY
    return found


def unheld(retriever: Retriever, question: str) -> dict[str, dict[str, float]]:
    words = retriever.evidence(retriever.look(question)).words
    return {word.asked.typed: dict(zip(WORD_SIGNALS, word.signals.tolist(), strict=True)) for word in words}


def test_an_unknown_feature_is_named_as_the_visitor_wrote_it(retriever: Retriever) -> None:
    found = retriever.search("set the MTU of eth1 on the router")
    assert (found.state, found.missing, found.passages[0].path) == ("near", ("MTU",), "router.md")


def test_neighbours_are_named_together(retriever: Retriever) -> None:
    assert retriever.search("set the Xyzzy Plugh of eth1 on the router").missing == ("Xyzzy Plugh",)


@pytest.mark.parametrize(
    "around",
    [
        "Nov 30 10:00:01 kvm01 routerd[3166]:",
        "2026-11-30T10:00:01.123Z kvm01 routerd[3166]:",
        "2026-02-11T08:15:42+01:00",
        "[2026-02-11, 08:15:42 UTC] {router.py:1482}",
        "2026-02-11 08:15:42,017",
    ],
)
def test_what_a_log_puts_around_its_messages_is_not_asked_for(retriever: Retriever, around: str) -> None:
    pasted = f"address of the router\n{around} set interfaces eth1\n{around} "
    assert retriever.search(f"{pasted}address runs").missing == ()
    assert retriever.search(f"{pasted}address Xyzzy").missing == ("Xyzzy",)


def test_a_question_whose_words_are_held_is_answered(retriever: Retriever) -> None:
    found = retriever.search("set the address of eth1 on the router")
    assert (found.state, found.missing) == ("answered", ())


@pytest.mark.parametrize("question", ["gpu passthrough to a guest", "which filesystem gets the gpu of a guest"])
def test_words_written_together_or_apart_are_the_same(retriever: Retriever, question: str) -> None:
    assert not {"passthrough", "filesystem"} & unheld(retriever, question).keys()


def test_another_number_is_no_misspelt_one(retriever: Retriever) -> None:
    assert "2.13" in unheld(retriever, "does version 2.13 of the router run")


def test_a_synonym_of_the_glossary_counts_as_one(retriever: Retriever) -> None:
    words = unheld(retriever, "how much memory of the kvm host does the hypervisor keep, with zram")
    assert words["zram"]["synonym"] == 0.0
    assert words.get("host", {"synonym": 1.0})["synonym"] == 1.0


def test_a_word_of_a_passage_further_down_is_told_apart_from_an_unknown_one(retriever: Retriever) -> None:
    words = unheld(retriever, "set the mirror and the frobnicator of eth1 on the router ports with set interfaces")
    assert (words["mirror"]["unknown"], words["frobnicator"]["unknown"]) == (0.0, 1.0)
    assert (words["mirror"]["shown"], words["frobnicator"]["shown"]) == (1.0, 0.0)


def test_everyday_words_are_less_rare_than_names_and_an_identifier_is_as_rare_as_its_rarest_part() -> None:
    assert rarity("instead") < rarity("bandwidth") < rarity("wireguard")
    assert rarity("guests") <= rarity("guest")
    assert rarity("wireguard_deployment") == rarity("wireguard")


def test_a_question_without_an_unheld_word_is_never_near() -> None:
    sure = Nearness(BY_RARITY.words, 99.0, BY_RARITY.question, 99.0, 0.0, BY_RARITY.kind)
    assert sure.missing("what", NearEvidence([], np.zeros(len(QUESTION_SIGNALS)))) == ()
    assert sure.logit(NearEvidence([], np.zeros(len(QUESTION_SIGNALS)))) == NO_WORD + 99.0


def test_without_the_fitted_part_every_passage_answers(retriever: Retriever) -> None:
    assert load_nearness(WordHashEncoder().digest) is None  # another encoder than it was fitted to
    retriever._nearness = None
    try:
        assert retriever.search("set the MTU of eth1 on the router").state == "answered"
    finally:
        retriever._nearness = BY_RARITY


def test_the_kinds_of_words_fit_one_encoder_only_and_a_missing_file_leaves_them_out(tmp_path: Path) -> None:
    file = tmp_path / "words.npz"
    assert load_word_kinds("a", file) is None
    save_word_kinds(np.ones(4), "a", file)
    kind = load_word_kinds("a", file)
    assert kind is not None
    assert kind.tolist() == [1.0] * 4
    assert load_word_kinds("b", file) is None


def test_on_our_pages_absent_features_are_near_and_rare_words_that_are_answered_mostly_not(own_index: Path) -> None:
    own = open_or_build(Path("rag/corpus"), own_index, Embedder())
    states: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for row in read_rows(Path("tests/evals/absent_own.jsonl")):
        states[row["kind"] == "unanswerable"][own.search(row["question"]).state] += 1
    absent, fair = states[True], states[False]
    assert absent["answered"] <= 0.2 * absent.total()
    assert fair["near"] <= 0.2 * fair.total()  # these are the hard ones; of visitors' questions it is at most 4 %


def test_what_is_fitted_tells_marked_names_from_what_people_say_around_them(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    training = pytest.importorskip("rag.training.near")
    names = [f"{start}{end}" for start in ("wire", "quux", "zorb", "blip") for end in ("guard", "flow", "lan", "stack")]
    around = ["quickly", "today", "properly", "again", "myself", "safely", "nicely", "later"]
    (tmp_path / "near.txt").write_text("".join(f"set the {{{name}}} of eth1 on the router\n" for name in names))
    monkeypatch.setattr(training, "QUESTIONS", tmp_path / "near.txt")
    answered = [f"set the address of eth1 on the router {word} {other}" for word in around for other in around[:2]]
    fitted, kind = training.fit_near(retriever, answered, WordHashEncoder())
    words, question = (
        np.array([fitted[part][name] for name in order])
        for part, order in (("words", WORD_SIGNALS), ("question", QUESTION_SIGNALS))
    )
    model = Nearness(words, fitted["word_bias"], question, fitted["bias"], fitted["threshold"], kind)
    gatherer = Gatherer(retriever.index, WordHashEncoder(), load_glossary(), kind)
    monkeypatch.setattr(retriever, "_gatherer", gatherer)
    look = retriever.look("set the wireguard of eth1 on the router today")
    assert model.missing("set the wireguard of eth1 on the router today", retriever.evidence(look)) == ("wireguard",)
    near = [text for text in answered if model.missing(text, retriever.evidence(retriever.look(text)))]
    assert len(near) <= 2  # of 16
