"""Fit the map from questions to passages: `python -m rag tune`. About a minute.

Learns from the questions that our pages list under their headings: of all passages of our pages, those under the
question's own heading shall be nearest. Judged questions are never read. The printed figures come from maps that never
saw the question, and from maps that never saw a question of its page.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from rag.embedding.embedder import Embedder
from rag.index.build import build
from rag.index.dense import QUESTION
from rag.index.store import Index, load
from rag.search.question_map import QUESTION_MAP_FILE, QuestionMap, save_question_map

PAGES = Path(__file__).parent.parent / "corpus"
EPOCHS, BATCH = 6, 256
RATE, DECAY = 1e-3, 0.01  # of AdamW; the rate rises over the first tenth of the steps and falls to zero
SHARPNESS = 20.0  # by which cosines are multiplied before the softmax
KEPT = 2.0  # weight of the distance by which a question moves, against that of its section from the nearest
FOLDS = 3
SEED = 7


@dataclass(frozen=True, slots=True)
class Listed:
    """The questions that our pages list, and the vectors of the passages among which each shall find its own."""

    questions: torch.Tensor  # (n, dimension)
    sections: torch.Tensor  # (n,) the unit that answers
    pages: np.ndarray  # (n,) its page
    passages: torch.Tensor  # (m, dimension) of chunks and whole units
    owners: torch.Tensor  # (m,) the unit of each


def tune(cache: Path, out: Path) -> None:
    """Fit on our pages, print the figures, and write question_map.npz into `out`; `cache` keeps the index."""
    embedder = Embedder()
    folder = cache / "own"
    folder.parent.mkdir(parents=True, exist_ok=True)
    build(PAGES, folder, embedder)
    listed = _listed(load(folder, embedder))
    count = len(listed.questions)
    mixed = np.random.default_rng(SEED).permutation(count) % FOLDS
    for held_out, folds in (("question", mixed), ("page", listed.pages % FOLDS)):
        ranks = [_ranks(listed, listed.questions, np.arange(count)), np.zeros(count)]
        for fold in range(FOLDS):
            rest = np.flatnonzero(folds == fold)
            fitted = fit_map(listed, np.flatnonzero(folds != fold))
            mapped = fitted.towards_passages(listed.questions[rest].numpy())
            ranks[1][rest] = _ranks(listed, torch.from_numpy(mapped), rest)
        plain, mapped_mrr = (float((1 / rank).mean()) for rank in ranks)
        print(f"each {held_out} held out: mean reciprocal rank of its section {plain:.3f}, mapped {mapped_mrr:.3f}")
    save_question_map(fit_map(listed, np.arange(count)), embedder.digest, out / QUESTION_MAP_FILE.name)


def fit_map(listed: Listed, chosen: np.ndarray) -> QuestionMap:
    """Return the map under which the chosen questions (their numbers) find their sections best."""
    draw = torch.Generator().manual_seed(SEED)
    dimension = listed.questions.shape[1]
    matrix, offset = (torch.zeros(shape, requires_grad=True) for shape in ((dimension, dimension), (dimension,)))
    batches = max(1, len(chosen) // BATCH)
    steps = EPOCHS * batches
    optimiser = torch.optim.AdamW([matrix, offset], lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / (0.1 * steps)) * (1 - step / steps)
    )
    for _ in range(EPOCHS):
        order = torch.from_numpy(chosen)[torch.randperm(len(chosen), generator=draw)]
        for part in order.tensor_split(batches):
            asked = listed.questions[part]
            moved = normalize(asked + asked @ matrix + offset)
            cosines = SHARPNESS * moved @ listed.passages.T
            right = listed.sections[part][:, None] == listed.owners
            found = cosines.logsumexp(1) - cosines.masked_fill(~right, -torch.inf).logsumexp(1)
            loss = (found + KEPT * (1 - (moved * asked).sum(1))).mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_([matrix, offset], 1.0)
            optimiser.step()
            schedule.step()
    return QuestionMap(matrix.detach().numpy(), offset.detach().numpy())


def _listed(index: Index) -> Listed:
    dense = index.dense
    asks = dense.kind == QUESTION
    names = sorted({unit.path for unit in index.units})
    pages = np.array([names.index(index.units[at].path) for at in dense.owner[asks]])
    vectors = torch.from_numpy(dense.vectors.copy())
    owners = torch.from_numpy(dense.owner.astype(np.int64))
    questions = torch.from_numpy(asks)
    return Listed(vectors[questions], owners[questions], pages, vectors[~questions], owners[~questions])


def _ranks(listed: Listed, questions: torch.Tensor, numbers: np.ndarray) -> np.ndarray:
    """Return the rank, from 1, of each question's section among all sections by its best passage."""
    cosines = (questions @ listed.passages.T).numpy()
    owners = listed.owners.numpy()
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    best = np.maximum.reduceat(cosines, starts, axis=1)
    own = np.searchsorted(owners[starts], listed.sections.numpy()[numbers])
    ranks: np.ndarray = 1 + (best > best[np.arange(len(own)), own][:, None]).sum(axis=1)
    return ranks
