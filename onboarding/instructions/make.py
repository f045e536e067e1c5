"""Write instruction rows from our own pages as a Hugging Face dataset of Parquet files and a data sheet.

    python -m onboarding instructions --out FOLDER [--seed N] [--repo USER/NAME [--send]]

Rows are the same for the same pages, judged files and seed. Prints the rows of each split and kind, and what the splits
share. With --repo also shows what differs from the Hub; --send sends it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from model.prompting.system_prompts import PromptTexts, load_prompt_texts
from model.turn.tool_calling import ToolMenu
from onboarding.assistant.replies import Replies
from onboarding.instructions.abstaining import OFF_TOPIC, Unanswered, abstaining_rows, marked, misplaced_rows
from onboarding.instructions.checks import Requests, call_rows, reading_rows, seen_rows
from onboarding.instructions.grounded import PageSearch, asked_of_pages, grounded_rows
from onboarding.instructions.repeats import Encode, judged_questions, repeats
from onboarding.instructions.rows import InstructionRow
from onboarding.instructions.write import MadeSplits, write
from onboarding.routing.exemplars import Exemplar, load_exemplars
from onboarding.routing.language.text import fold
from onboarding.routing.routing import Routing, routing_without_classifiers
from rag.embedding.embedder import Embedder, NoEncoder
from rag.errors import RagError
from rag.publishing.splits import SPLITS, split_of
from rag.reading.documents import read_corpus
from rag.search.retriever import open_or_build
from tools.registry import Registry
from tools.simulation.hosts import load_hosts

ROOT = Path(__file__).parents[2]
PROMPTS = ROOT / "onboarding" / "prompts"
UNANSWERED = ROOT / "rag" / "training"
MISPLACED = 0.13  # share of the pages' questions that are asked of other pages' passages
OFF_TOPIC_ROWS, OFF_TOPIC_ELSEWHERE = 60, 12  # questions outside the subject, in English and in each other language


class RememberingEmbedder(Embedder):
    """The encoder that embeds no text twice: searches and comparisons ask for the same questions."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 vectors of shape (len(texts), dimension), each of length 1."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, super().encode(new), strict=True))
        return np.array([self._known[text] for text in texts], dtype=np.float32).reshape(-1, self.dimension)


def main(argv: Sequence[str]) -> int:
    """Make the rows, write them, print what they are and, with --repo, what differs from the Hub; return 0."""
    options = _parser().parse_args(argv)
    if options.out.exists() and not options.out.is_dir():
        raise RagError(f"{options.out} is a file; give --out a folder")
    embedder = RememberingEmbedder()
    made = make_rows(options.corpus, options.judged, options.data / "index", options.seed, embedder)
    figures = write(made, options.out, options.repo or "USER/NAME", embedder.encode)
    sys.stdout.write("".join(f"{figure}\n" for figure in figures))
    if options.repo:
        from rag.publishing import hub  # the Hub's client takes a second to import

        if options.send:
            hub.refuse_dirty(options.corpus)
        target = hub.Target(options.repo, "dataset", ("data",))
        said = hub.published(target, options.out, "Update the instruction rows", sends=options.send)
        sys.stdout.write(f"{said}\n")
    return 0


def make_rows(corpus: Path, judged: Path, index: Path, seed: int, embedder: Embedder) -> MadeSplits:
    """Return the rows of each split. Raises RagError where pages, judged files or the encoder are missing."""
    if not judged.is_dir():
        raise RagError(f"{judged} is no folder of judged questions, which no row may repeat; give --judged")
    documents = read_corpus(corpus).documents
    search = PageSearch(open_or_build(corpus, index, embedder), split_of((one.path for one in documents), seed))
    routing, texts = routing_without_classifiers(NoEncoder()), load_prompt_texts(PROMPTS)
    units = search.retriever.index.units
    listed = [question for unit in units for question in unit.questions]
    languages = {question: routing.reader.lexicon.read(fold(question)).language for question in listed}
    asked = asked_of_pages(documents, units, search.splits, languages, seed)
    chance = random.Random(seed)  # noqa: S311 - no secrets
    misplaced = {at for at, one in enumerate(asked) if one.language != "en" or chance.random() < MISPLACED}
    replies = Replies().every
    rows = [
        *grounded_rows([one for at, one in enumerate(asked) if at not in misplaced], search, texts, seed),
        *misplaced_rows([one for at, one in enumerate(asked) if at in misplaced], search, texts, replies, seed),
        *abstaining_rows(list(_unanswered(seed)), search, texts, replies, seed),
    ]
    chance.shuffle(rows)  # so that no kind is dropped more often than another as a repetition
    splits = [search.splits[row.pages[0]] for row in rows]
    tool_rows, tool_splits = _tool_rows(routing, texts, seed)
    every, of = [*rows, *tool_rows], [*splits, *tool_splits]
    return _without_repeats(every, of, search.splits, judged_questions(judged), embedder.encode)


def _tool_rows(routing: Routing, texts: PromptTexts, seed: int) -> tuple[list[InstructionRow], list[str]]:
    """Return the rows about the simulated hosts, and the split of each, by host and by line of exemplars."""
    menu = ToolMenu.of(texts.menu, Registry.default().schemas())
    requests, hosts = Requests.of(load_exemplars(), routing.chooser, routing.reader), load_hosts()
    groups = {str(one.group) for found in requests.by_tool.values() for one in found}
    splits = split_of(groups, seed) | split_of(hosts, seed)
    made = [
        *call_rows(requests, menu, seed),
        *seen_rows(requests, menu, hosts, seed),
        *reading_rows(requests, hosts, texts, splits, seed),
    ]
    return made, [splits[row.group] for row in made]


def _unanswered(seed: int) -> Iterator[Unanswered]:
    """Yield the questions of rag/training that the pages do not answer, and some outside the subject."""
    near = (UNANSWERED / "near.txt").read_text("utf-8").splitlines()
    yield from (marked(line, "near question") for line in near if "{" in line)
    other = (UNANSWERED / "unanswerable.txt").read_text("utf-8").splitlines()
    yield from (Unanswered(line, recipe="question without an answer") for line in other if line.strip())
    found: dict[str, dict[int, Exemplar]] = defaultdict(dict)
    for one in load_exemplars():
        if one.route == "off_topic":
            found[one.language].setdefault(one.group, one)
    for language, lines in sorted(found.items()):
        most = OFF_TOPIC_ROWS if language == "en" else OFF_TOPIC_ELSEWHERE
        drawn = random.Random(f"{seed} {language}").sample(list(lines.values()), min(most, len(lines)))  # noqa: S311
        yield from (Unanswered(one.text, language=language, recipe=OFF_TOPIC) for one in drawn)


def _without_repeats(
    rows: Sequence[InstructionRow],
    splits: Sequence[str],
    pages: Mapping[str, str],
    judged: Sequence[str],
    encode: Encode,
) -> MadeSplits:
    """Drop rows that ask what is judged or what another row asks; a result may be read for one question twice."""
    is_judged = repeats([row.question for row in rows], judged, encode, among=False)
    single = [at for at, row in enumerate(rows) if not is_judged[at] and row.kind != "tool_reading"]
    again = dict(zip(single, repeats([rows[at].question for at in single], (), encode), strict=True))
    kept: dict[str, list[InstructionRow]] = {split: [] for split in SPLITS}
    for at, row in enumerate(rows):
        if not is_judged[at] and not again.get(at, False):
            kept[splits[at]].append(row)
    dropped = {"like a judged one": sum(is_judged), "like another": sum(again.values()), "like one of train": 0}
    train = [row.question for row in kept["train"]]
    for split in SPLITS[1:]:  # readings may ask alike within a split, not across
        known = repeats([row.question for row in kept[split]], train, encode, among=False)
        kept[split] = [row for row, is_known in zip(kept[split], known, strict=True) if not is_known]
        dropped["like one of train"] += sum(known)
    return MadeSplits(kept, pages, dropped)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m onboarding instructions", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--corpus", type=Path, default=ROOT / "rag" / "corpus", help="folder of pages")
    parser.add_argument("--judged", type=Path, default=ROOT / "tests" / "evals", help="folder of judged questions")
    data = Path(os.environ.get("DATA_DIR") or ".data")
    parser.add_argument(
        "--data", type=Path, default=data, help="folder of the index, which is built where it is missing"
    )
    parser.add_argument("--seed", type=int, default=0, help="of every draw")
    parser.add_argument("--repo", help="dataset on the Hub, for example user/qubinode-instructions")
    parser.add_argument("--send", action="store_true", help="also send what differs; needs --repo and HF_TOKEN")
    return parser
