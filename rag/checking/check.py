"""Check the pages against upstream: list what upstream does not have, and what changed below the files they cite."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import yaml

from rag.checking.claims import Claim, claims_of
from rag.checking.upstream import CODE, DOCUMENTS, NOWHERE, Upstream, read_upstream
from rag.errors import RagError
from rag.reading import frontmatter

EXCEPTIONS = Path(__file__).with_name("exceptions.yaml")
_LACKS = re.compile(  # not a mere "not": most sentences with one say that the thing is there
    r"\b(gone|vanished|deleted|removed|moved|formerly|January|no longer|no such|no script"
    r"|not (?:exist|there|in the (?:tree|repository)))\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What upstream need not have: ordinary programs, and kind -> value, with * for anything, -> reason."""

    programs: frozenset[str]
    reasons: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Where a claim was found: "code", "documents", "exception", or "" for a claim that nothing explains."""

    claim: Claim
    found: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A file of upstream that a page cites and that is not what it was."""

    page: str
    line: int
    kind: str  # "changed" | "moved" | "vanished"
    path: str
    now: str = ""  # where a moved file lies


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check."""

    pages: int
    verdicts: tuple[LookedUp, ...]
    unused: tuple[str, ...]  # exceptions that nothing needs
    changes: tuple[Change, ...] | None  # None when there was nothing to compare with

    @property
    def unexplained(self) -> tuple[LookedUp, ...]:
        """The claims that upstream does not have and no exception covers."""
        return tuple(one for one in self.verdicts if one.found == NOWHERE)


def check(pages: Path, upstream: str | Path, since: str | Path | None = None, exceptions: Path = EXCEPTIONS) -> Report:
    """Look up every claim of `pages` in `upstream`, and compare the files they cite with those of `since`.

    Raises SourceUnreadable, or RagError when there are no pages or the exceptions cannot be read.
    """
    texts = {path.name: path.read_text("utf-8") for path in sorted(pages.glob("*.md")) if path.is_file()}
    if not texts:
        raise RagError(f"{pages} holds no page; give a folder of .md files")
    known = read_exceptions(exceptions)
    now, before = read_upstream(upstream), read_upstream(since) if since else None
    claims = [
        claim
        for page, text in texts.items()
        for claim in (*_sources(page, text), *claims_of(page, text, known.programs))
        if not claim.owner or claim.kind == "target" or now.file(claim.owner)  # another project's script
    ]
    used: set[str] = set()
    verdicts = tuple(_verdict(claim, now, before, known, used) for claim in claims)
    listed = (f"{kind} {value}" for kind, values in known.reasons.items() for value in values)
    changes = tuple(_changes(claims, before, now)) if before else None
    return Report(len(texts), verdicts, tuple(one for one in listed if one not in used), changes)


def read_exceptions(path: Path) -> Exceptions:
    """Read the reviewed exceptions. Raises RagError when an entry has no reason."""
    tree = yaml.safe_load(path.read_text("utf-8")) or {}
    programs = frozenset(str(tree.pop("programs", "")).split())
    reasons = {kind: {str(value): reason for value, reason in (values or {}).items()} for kind, values in tree.items()}
    for kind, values in reasons.items():
        if bare := [value for value, reason in values.items() if not isinstance(reason, str) or not reason.strip()]:
            raise RagError(f"{path}: {kind} {bare[0]!r} has no reason; write one behind the colon")
    return Exceptions(programs, reasons)


def _sources(page: str, text: str) -> Iterator[Claim]:
    """Yield the files of the front matter, and the words that a file which says otherwise is quoted with."""
    lines, fields = text.splitlines(), frontmatter.split(text)[0]
    listed = fields.get("differs")
    for heading, files in listed.items() if isinstance(listed, dict) else ():
        for path, says in files.items() if isinstance(files, dict) else ():
            here = [n for n, one in enumerate(lines, 1) if one.strip().startswith(f"{path}:")] or [1]
            line = next(
                (n for n in here if str(says)[:12] in lines[n - 1]), here[0]
            )  # one file may stand in several sections
            yield Claim(page, line, heading, "source", path)
            for word in re.findall("`([^`]+)`", str(says)):
                yield Claim(page, line, heading, "difference", word, path)
    for source in filter(lambda one: isinstance(one, str), fields.get("sources") or []):
        if not source.startswith("https://"):
            line = next((n for n, one in enumerate(lines, 1) if one.strip() == f"- {source}"), 1)
            yield Claim(page, line, "sources", "source", source)


def _verdict(claim: Claim, now: Upstream, before: Upstream | None, known: Exceptions, used: set[str]) -> LookedUp:
    if found := _look_up(claim, now):
        return LookedUp(claim, found)
    for value, reason in known.reasons.get(claim.kind, {}).items():
        if fnmatchcase(claim.full, value):
            used.add(f"{claim.kind} {value}")
            return LookedUp(claim, "exception", reason)
    if before and _LACKS.search(re.sub("`[^`]*`", "", claim.said)) and _look_up(claim, before):
        return LookedUp(claim, "exception", "the page says that it is gone, and it was there before")
    missing = _MISSING.get(claim.kind, "not in {owner}" if claim.owner else "not in upstream's files")
    return LookedUp(claim, NOWHERE, missing.format(owner=claim.owner))


_MISSING = {
    "source": "no such file",
    "script": "no such script",
    "path": "no such file, and no file names it",
    "port": "no file has it as a port",
    "container": "no code names it, and no compose service gives it",
    "target": "no such target in the Makefile {owner}",
    "command": "neither upstream's nor an ordinary program",
    "adr": "no such file in docs/adrs",
}
_IN_TREE: dict[str, Callable[[Claim, Upstream], bool]] = {
    "source": lambda claim, upstream: upstream.file(claim.value) == claim.value.rstrip("/"),
    "script": lambda claim, upstream: (
        bool(upstream.file(claim.value)) or (claim.value[0] == "/" and upstream.string(claim.value) == CODE)
    ),
    "adr": lambda claim, upstream: bool(upstream.file(f"docs/adrs/{claim.value.lower()}-*")),
    "container": lambda claim, upstream: claim.value in upstream.containers or upstream.string(claim.value) == CODE,
    "target": lambda claim, upstream: upstream.target(claim.owner, claim.value),
    "argument": lambda claim, upstream: upstream.in_script(claim.owner, claim.value),
    "option": lambda claim, upstream: upstream.in_script(claim.owner, claim.value),
    "difference": lambda claim, upstream: upstream.says(claim.owner, claim.value),
    "command": lambda claim, upstream: (
        bool(upstream.file(claim.value))
        or any(
            upstream.string(form) == CODE
            for form in (f"{claim.value}()", f"function {claim.value}", f"bin/{claim.value}")
        )
    ),
}


def _look_up(claim: Claim, upstream: Upstream) -> str:
    """Return where upstream has what is claimed: "code", "documents" or ""."""
    alone = claim.kind == "option" and not claim.owner
    if claim.kind in _IN_TREE and not alone:
        return CODE if _IN_TREE[claim.kind](claim, upstream) else NOWHERE
    if claim.kind == "port":
        return next((kind for kind, ports in upstream.ports.items() if claim.value in ports), NOWHERE)
    if claim.kind == "path":
        return upstream.path(claim.value)
    is_file = claim.kind == "name" and (claim.value in upstream.stems or upstream.file(claim.value))
    return CODE if is_file else upstream.string(claim.value)


def _changes(claims: list[Claim], before: Upstream, now: Upstream) -> Iterator[Change]:
    """Yield the first citation, on each page, of each file that is not what it was; a name of two files cites none."""
    seen: set[tuple[str, str]] = set()
    for claim in claims:
        path = before.only_file(claim.value) if claim.kind in {"source", "path", "script"} else ""
        if path and (claim.page, path) not in seen:
            seen.add((claim.page, path))
            kind, place = _compare(path, before, now)
            if kind:
                yield Change(claim.page, claim.line, kind, path, place)


def _compare(path: str, before: Upstream, now: Upstream) -> tuple[str, str]:
    """Return (kind of change, new place): moved to a new file with its bytes or, but for case and _, its name."""
    data = before.files[path]
    if path in now.files:
        return ("" if now.files[path] == data else "changed"), ""
    new = [one for one in now.files if one not in before.files]
    same = [one for one in new if data and now.files[one] == data]
    named = [one for one in new if _plain(one) == _plain(path)]
    place = next(iter([*same, *named]), "")
    return ("moved" if place else "vanished"), place


def _plain(path: str) -> str:
    return PurePosixPath(path).name.lower().replace("_", "-")


def render(report: Report) -> str:
    """Return the report as lines: unexplained claims, weak finds, unused exceptions, changes, and the sums."""
    found = Counter(one.found for one in report.verdicts)
    lines = [_line(one) for one in report.unexplained]
    lines += _listed("in documents only", [_line(one) for one in report.verdicts if one.found == DOCUMENTS])
    lines += _listed("exceptions that nothing needs any more", report.unused)
    if report.changes is not None:
        lines += _listed("changed below the pages", [_change(one) for one in report.changes])
        kinds = Counter(one.kind for one in report.changes)
        lines += [", ".join(f"{kinds[kind]} cited files {kind}" for kind in ("changed", "moved", "vanished"))]
    lines += [
        f"{len(report.verdicts)} claims on {report.pages} pages, {found[CODE]} found in code, "
        f"{found[DOCUMENTS]} in documents only, {found['exception']} exceptions, {found[NOWHERE]} unexplained"
    ]
    return "\n".join(lines)


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [f"\n{title}:", *(f"  {line}" for line in lines), ""] if lines else []


def _line(verdict: LookedUp) -> str:
    claim = verdict.claim
    return f"{claim.page}:{claim.line}  {claim.kind}  {claim.value}  ({verdict.reason or claim.heading})"


def _change(change: Change) -> str:
    now = f"  (now {change.now})" if change.now else ""
    return f"{change.page}:{change.line}  {change.kind}  {change.path}{now}"
