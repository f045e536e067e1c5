"""Run the package from a shell: search, build, check, publish, train, tune."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from rag.command_line import ended
from rag.embedding.embedder import DEFAULT_MODEL, Embedder
from rag.errors import IndexMissing, RagError, SourceUnreadable
from rag.index.build import build
from rag.index.shipped_vectors import write_shipped_vectors
from rag.index.store import load, read_manifest
from rag.reading.documents import is_address
from rag.reading.links import UPSTREAM, UPSTREAM_COMMIT
from rag.search.retriever import Retriever
from rag.search.tiers import with_upstream

CORPUS = Path(__file__).parent / "corpus"
WEIGHTS = Path(__file__).parent / "search"
COMMANDS = ("build", "check", "publish", "search", "train", "tune")
TRAINING = {"scipy", "sklearn", "torch"}  # development packages; the app runs without them


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 nothing found, 2 a mistake or a failure."""
    arguments = list(argv)
    if not arguments or (arguments[0] not in COMMANDS and not arguments[0].startswith("-")):
        arguments.insert(0, "search")
    return ended(_run, arguments, (RagError,))


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    return int(options.run(options))


def _parser() -> argparse.ArgumentParser:
    data = Path(os.environ.get("DATA_DIR") or ".data")  # as the app has it, which reads the index there
    parser = argparse.ArgumentParser(
        prog="python -m rag", description="Search the knowledge corpus, or build its index."
    )
    commands = parser.add_subparsers(required=True)
    search = commands.add_parser("search", help="print the passages that answer a question (the default command)")
    search.add_argument("question")
    search.add_argument("--k", type=int, default=5, help="number of passages")
    search.add_argument("--explain", action="store_true", help="also print why each passage was found")
    search.set_defaults(run=_search)
    making = commands.add_parser("build", help="index a corpus")
    making.add_argument("--shipped-vectors", action="store_true", help="also renew the vectors in the package")
    making.set_defaults(run=_build)
    sending = commands.add_parser("publish", help="write our own pages as a Hugging Face dataset; --send sends it")
    sending.add_argument("--repo", required=True, help="dataset on the Hub, for example user/qubinode-pages")
    how = sending.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run",
        action="store_true",
        help="write the folder and show what differs from the Hub, the default; needs no token",
    )
    how.add_argument("--send", action="store_true", help="also send what differs; needs HF_TOKEN")
    sending.add_argument("--corpus", type=Path, default=CORPUS, help="folder of pages")
    sending.add_argument("--judged", type=Path, help="judged questions for the evaluation split (JSON lines)")
    sending.add_argument("--folder", type=Path, default=data / "dataset", help="where to write")
    sending.set_defaults(run=_publish)
    checking = commands.add_parser("check", help="hold our own pages against upstream's files")
    checking.add_argument("--upstream", type=Path, required=True, help="checkout of upstream, or a tar archive of one")
    checking.add_argument("--since", type=Path, help="an older one, to list the cited files that changed since")
    checking.add_argument("--corpus", type=Path, default=CORPUS, help="folder of pages")
    checking.set_defaults(run=_check)
    training = commands.add_parser("train", help="fit the ranking and the calibration; needs make setup-full")
    training.add_argument("--upstream", required=True, help="archive or folder of the upstream documentation")
    training.add_argument(
        "--judged", type=Path, required=True, nargs="+", help="judged questions on our own pages (JSON lines)"
    )
    training.add_argument("--cache", type=Path, default=data / "train", help="folder for the two indexes")
    training.add_argument(
        "--out", type=Path, default=WEIGHTS, help="folder of weights.json and kinds.npz, by default the package's"
    )
    training.set_defaults(run=_train)
    tuning = commands.add_parser("tune", help="fit the map from questions to passages; needs make setup-full")
    tuning.add_argument("--cache", type=Path, default=data / "train", help="folder for the index")
    tuning.add_argument(
        "--out", type=Path, default=WEIGHTS, help="folder of question_map.npz, by default the package's"
    )
    tuning.set_defaults(run=_tune)
    making.add_argument(
        "--source", help="folder, tar archive or git URL; by default what lies at OUT was built from, or our own pages"
    )
    making.add_argument(
        "--upstream",
        nargs="?",
        const=UPSTREAM_COMMIT,
        metavar="SOURCE",
        help="index upstream's own text, which the app then searches behind our pages: a commit, a checkout, an "
        "archive or its address; by default the commit that our pages were held against",
    )
    search.add_argument(
        "--index", "--out", dest="index", type=Path, default=_path("INDEX"),
        help="search this index alone; by default what the app searches",
    )  # fmt: skip
    search.add_argument(
        "--threshold", type=float, default=os.environ.get("ABSTAIN_BELOW") or None,
        help="probability, 0..1, below which a search abstains; by default the app's",
    )  # fmt: skip
    making.add_argument("--out", type=Path, help="folder of the index; by default the one the app reads")
    for command in (search, making):
        command.add_argument("--model", default=os.environ.get("EMBEDDING_MODEL") or DEFAULT_MODEL)
        command.set_defaults(data=data)
    return parser


def _path(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


def _upstream(source: str | None) -> str:
    """Return upstream's archive at a commit, or the source as it is; "" for none."""
    return f"{UPSTREAM}/archive/{source}.tar.gz" if source and re.fullmatch("[0-9a-f]{40}", source) else source or ""


def _source_of(index: Path, *, is_ours: bool) -> str:
    """Return the source that `index` was built from; our own pages where there is no index yet, or one `is_ours`.

    Raises SourceUnreadable when that source is gone or unknown: other pages must not take the place of somebody's own.
    """
    try:
        source = read_manifest(index).source
    except RagError as error:
        if is_ours or (isinstance(error, IndexMissing) and not (index.is_dir() and any(index.iterdir()))):
            return str(CORPUS)
        source = ""
    if not source:
        raise SourceUnreadable(f"{index} no longer says what it was built from; give --source")
    if not is_address(source) and not Path(source).exists():
        raise SourceUnreadable(f"{index} was built from {source}, which is gone; give --source")
    return source


def _build(options: argparse.Namespace) -> int:
    if "" in (options.upstream, options.source):
        raise RagError("--source and --upstream need a value; leave them out for the usual one")
    if options.upstream and options.source:
        raise RagError("--upstream and --source name two different things to index; give one of them")
    out = options.out or options.data / ("upstream" if options.upstream else "index")
    source = _upstream(options.upstream) or options.source or _source_of(out, is_ours=options.out is None)
    embedder = Embedder(options.model)
    with tqdm(unit="text", desc="embedding", disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        out.parent.mkdir(parents=True, exist_ok=True)
        manifest = build(source, out, embedder, progress)
    print(f"{manifest.chunks} chunks in {manifest.units} passages -> {out}")
    if options.shipped_vectors:
        write_shipped_vectors(load(out, embedder).dense, embedder.digest)
    for skipped in manifest.skipped:
        print(f"skipped {skipped.path}: {skipped.reason}")
    return 0


def _publish(options: argparse.Namespace) -> int:
    from rag.publishing import dataset as publish
    from rag.publishing import hub  # the Hub's client takes a second to import, which a search does not spend

    rows = publish.write_dataset(options.corpus, options.judged, options.folder, options.repo)
    for name, count in rows.items():
        print(f"{count:6} rows  {options.folder / name}")
    if options.send:
        hub.refuse_dirty(options.corpus)
    target = hub.Target(options.repo, "dataset", ("data",))
    print(hub.published(target, options.folder, "Update the corpus", sends=options.send))
    return 0


def _check(options: argparse.Namespace) -> int:
    from rag.checking.check import check, render

    report = check(options.corpus, options.upstream, options.since)
    print(render(report))
    return 1 if report.unexplained else 0


def _train(options: argparse.Namespace) -> int:
    with _training_packages():
        from rag.training.fit import fit
    fit(options.upstream, options.judged, options.cache, options.out)
    return 0


def _tune(options: argparse.Namespace) -> int:
    with _training_packages():
        from rag.training.tune import tune
    tune(options.cache, options.out)
    return 0


@contextmanager
def _training_packages() -> Iterator[None]:
    """Name the command that installs what a training module imports and is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in TRAINING:
            raise
        raise RagError(
            "training needs scikit-learn, scipy and torch, which are not installed; run: make setup-full"
        ) from error


def _search(options: argparse.Namespace) -> int:
    embedder = Embedder(options.model)
    own = Retriever(load(options.index or options.data / "index", embedder), embedder, threshold=options.threshold)
    named = _path("UPSTREAM_INDEX")
    behind = named or options.data / "upstream"
    both = own if options.index else with_upstream(own, behind, embedder, options.threshold, required=bool(named))
    result = both.search(options.question.encode("utf-8", "replace").decode(), max(1, options.k))
    print(f"answerable {result.answerable:.2f}   {result.ms:.0f} ms")
    if result.missing:
        print(f"near: no passage speaks of {', '.join(result.missing)}")
    if not result.passages:
        print("The corpus does not seem to answer this. Nearest pages:")
        for passage in result.nearest:
            print(f"  {passage.path}  {passage.title}")
    else:
        print(f"\n{result.extract}\n")
        for number, passage in enumerate(result.passages, 1):
            print(f"[{number}] {passage.score:6.2f}  {passage.path}:{passage.lines[0]}-{passage.lines[1]}  "
                  f"{' > '.join((passage.title, *passage.headings))}\n      {passage.excerpt}")  # fmt: skip
    if options.explain:
        _explain(own, options.question, options.k)
    return 0 if result.passages else 1


def _explain(retriever: Retriever, question: str, k: int) -> None:
    query = retriever.read(question)
    print(f"\nread as: {query.spelled!r}; terms {list(query.terms)}; also {list(query.expansions)}")
    for typed, meant in query.corrections:
        print(f"corrected: {typed} -> {meant}")
    for number, row in enumerate(retriever.explain(question, k), 1):
        values = "  ".join(f"{name} {value:.2f}" for name, value in row.features.items() if value)
        print(f"[{number}] {row.passage.path}: {values}")
