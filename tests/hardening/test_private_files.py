"""What the app keeps on disk: modes and owners, and damaged or planted things in a file's or folder's place.

Each of them costs itself only: the rest starts and goes on, and nothing behind a link is read, changed or deleted.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.catalogue.entries import digest
from model.kv_cache.prefix_cache import DiskTier, Snapshot
from model.private_files import make_private, private_file, private_folder, read_json, read_private, write_private
from model.turn.popular_passages import SAVE_EVERY, PassageCounts
from onboarding.feedback.candidates import candidates
from onboarding.feedback.row import FeedbackRow, visitor_of
from onboarding.feedback.store import Store, read_rows
from onboarding.routing.classifier import ArtefactStale
from onboarding.routing.classifier import load as load_classifier
from onboarding.settings import Settings
from onboarding.usage.ledger import Ledger, LedgerTrouble
from tests.rag_fakes import WordHashEncoder

SECRET = b"somebody else's"
KEY = bytes(range(16))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Files are made as an app with this mask makes them."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> set[tuple[str, int]]:
    """The modes below a folder, itself included: ("f" or "d", mode)."""
    every = [folder, *folder.rglob("*")]
    return {("d" if path.is_dir() else "f", stat.S_IMODE(path.lstat().st_mode)) for path in every}


PRIVATE = {("d", 0o700), ("f", 0o600)}


# --- small files: damaged, planted, too large ---------------------------------------------------------

DAMAGES: dict[str, Callable[[Path], object]] = {
    "1e999": lambda path: path.write_text('[["a", 1e999]]'),
    "1e999 in an object": lambda path: path.write_text('{"a": 1e999}'),
    "an integer without end": lambda path: path.write_text(f'[["a", {"9" * 5000}]]'),
    "a great integer": lambda path: path.write_text(f'[["a", {"9" * 400}]]'),
    "NaN": lambda path: path.write_text('[["a", NaN]]'),
    "deep": lambda path: path.write_text("[" * 200_000),
    "deep objects": lambda path: path.write_text('{"a":' * 200_000),
    "NUL": lambda path: path.write_bytes(b"\0" * 4096),
    "half": lambda path: path.write_text('[["a", 1'),
    "half a character": lambda path: path.write_bytes(b'{"a": "\xe2\x82'),
    "empty": lambda path: path.write_bytes(b""),
    "a word for a number": lambda path: path.write_text('[["a", "b", "many"]]'),
    "another form": lambda path: path.write_text('{"a": {"b": [1, 2, null]}}'),
    "rows of other things": lambda path: path.write_text('[1, null, ["a"], [1, "a"], ["a", true, 2], {"a": 1}]'),
    "a folder": lambda path: path.mkdir(),
    "a folder with files": lambda path: (path / "in").mkdir(parents=True),
    "a pipe": lambda path: os.mkfifo(path),
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a file": lambda path: path.symlink_to(path.with_name("outside")),
    "too large": lambda path: path.write_bytes(b" " * 3_000_000 + b"{}"),
}


@pytest.fixture(params=DAMAGES)
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A place for a small file, in which something else is; what lies beside it is as it was in the end."""
    outside = tmp_path / "outside"
    outside.write_bytes(SECRET)
    DAMAGES[request.param](tmp_path / "small")
    yield tmp_path / "small"
    assert outside.read_bytes() == SECRET


def test_damaged_counts_of_passages_cost_themselves_only(damaged: Path) -> None:
    counts = PassageCounts(damaged)
    assert counts.most_used(5) == []
    for _ in range(SAVE_EVERY):
        counts.note("a")
    assert counts.most_used(5) == ["a"]
    if not damaged.is_dir():
        assert json.loads(damaged.read_bytes()) == [["a", SAVE_EVERY]]
        assert (damaged.is_symlink(), stat.S_IMODE(damaged.stat().st_mode)) == (False, 0o600)


def test_damaged_digests_cost_themselves_only(damaged: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"weights")
    expected = hashlib.sha256(b"weights").hexdigest()
    assert digest(model, damaged) == expected
    if not damaged.is_dir():
        assert list(json.loads(damaged.read_bytes()).values())[-1] == expected
        assert (damaged.is_symlink(), stat.S_IMODE(damaged.stat().st_mode)) == (False, 0o600)


def test_a_damaged_key_of_the_prefix_cache_costs_what_it_proved_only(damaged: Path) -> None:
    damaged.rename(damaged.with_name("key"))
    tier = DiskTier(damaged.parent, "one model", 1_000_000)
    tier.write(Snapshot(KEY, 0, 4, b"data"))
    tier.close()
    again = DiskTier(damaged.parent, "one model", 1_000_000)
    assert again.read(KEY) == Snapshot(KEY, 0, 4, b"data")
    again.close()
    assert len(read_private(damaged.with_name("key"), 32)) == 32


def test_a_damaged_file_of_usage_costs_itself_only(damaged: Path) -> None:
    ledger = Ledger(damaged, patience_s=0.05)
    for _ in range(2):  # the first may find the damage and set it aside
        try:
            ledger.add(1, {("name", ""): 2.0})
            break
        except LedgerTrouble:
            continue
    assert [row.amount for row in ledger.rows()] == [2.0]
    assert (damaged.is_symlink(), stat.S_IMODE(damaged.stat().st_mode)) == (False, 0o600)


def test_a_damaged_description_of_a_classifier_is_stale(damaged: Path) -> None:
    damaged.rename(damaged.with_name("topics.json"))
    with pytest.raises(ArtefactStale, match="run: "):
        load_classifier("topics", WordHashEncoder(), damaged.parent)


@pytest.mark.parametrize("stage", ["open", "waiting", "kept"])
def test_a_damaged_file_of_feedback_costs_itself_only(damaged: Path, stage: str) -> None:
    folder = damaged.parent / "feedback"
    store = Store(folder)
    store.append(FeedbackRow(id="one", visitor=visitor_of("a"), kind="thumb", reason="wrong", question="One?"))
    damaged.rename(folder / stage / "20260101T000000-aa.jsonl")
    store = Store(folder)
    store.append(FeedbackRow(id="two", visitor=visitor_of("b"), kind="thumb", reason="wrong", question="Two?"))
    assert [row.id for row in read_rows(folder)] == ["one", "two"]
    assert len(candidates(read_rows(folder))) == 2
    assert store.forget(visitor_of("a")) == 1
    assert [row.id for row in read_rows(folder)] == ["two"]


@pytest.mark.parametrize("at", ["1e999", "-1", "1e300", "NaN"])
def test_a_row_of_feedback_from_no_time_is_skipped(tmp_path: Path, at: str) -> None:
    store = Store(tmp_path)
    store.append(FeedbackRow(id="one", visitor="a", kind="thumb", reason="wrong", question="One?"))
    row = f'"visitor": "b", "kind": "thumb", "reason": "wrong", "question": "Two?", "at": {at}'
    (tmp_path / "kept" / "x.jsonl").write_text(f"{{{row}}}\n")
    assert [row.id for row in read_rows(tmp_path)] == ["one"]
    assert [len(case.rows) for case in candidates(read_rows(tmp_path))] == [1]


@pytest.mark.parametrize("amount", ["9e999", "'many'", "NULL", "x'00'"])
def test_a_row_of_usage_that_no_one_can_add_up_is_skipped(tmp_path: Path, amount: str) -> None:
    ledger = Ledger(tmp_path / "usage.sqlite")
    ledger.add(1, {("sound", ""): 1.0})
    with ledger._open() as connection, connection:
        if amount == "NULL":
            connection.execute("INSERT INTO counts VALUES ('noon', 'odd', '', 1.0)")
        else:
            connection.execute(f"INSERT INTO counts VALUES (2, 'odd', '', {amount})")
    assert [row.name for row in ledger.rows()] == ["sound"]


# --- modes and owners ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o022, 0o000, 0o002])
def test_everything_private_is_made_private_whatever_the_mask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        tier = DiskTier(tmp_path / "data" / "prefix-cache", "one model", 1_000_000)
        tier.write(Snapshot(KEY, 0, 4, b"data"))
        tier.close()
        store = Store(tmp_path / "data" / "feedback", sends=True)
        for visitor in "ab":
            store.append(FeedbackRow(visitor=visitor_of(visitor), kind="suggestion", comment="More pages"))
        assert store.forget(visitor_of("a")) == 1  # rewrites the file
        Ledger(tmp_path / "data" / "usage.sqlite").add(1, {("name", ""): 1.0})
        counts = PassageCounts(tmp_path / "data" / "leads.json")
        for _ in range(SAVE_EVERY):
            counts.note("a")
        digest(Path(__file__), tmp_path / "data" / "digests.json")
    found = {path.name: modes(path) for path in (tmp_path / "data").iterdir()}
    assert set(found) == {"prefix-cache", "feedback", "usage.sqlite", "leads.json", "digests.json"}
    assert set().union(*found.values()) == PRIVATE


def test_what_an_earlier_release_left_open_is_closed_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "feedback")
    store.append(FeedbackRow(id="one", visitor="a", kind="suggestion", comment="More pages"))
    Ledger(tmp_path / "usage.sqlite").add(1, {("name", ""): 1.0})
    DiskTier(tmp_path / "prefix-cache", "one model", 1_000_000).close()
    for folder in (tmp_path / "feedback", *(tmp_path / "feedback").iterdir(), tmp_path / "prefix-cache"):
        folder.chmod(0o777)
    for file in (tmp_path / "feedback" / "open").iterdir():
        file.chmod(0o666)
    (tmp_path / "usage.sqlite").chmod(0o664)
    with caplog.at_level(logging.WARNING):
        store = Store(tmp_path / "feedback")
        assert [row.amount for row in Ledger(tmp_path / "usage.sqlite").rows()] == [1.0]
        DiskTier(tmp_path / "prefix-cache", "one model", 1_000_000).close()
    assert set().union(*(modes(path) for path in tmp_path.iterdir())) == PRIVATE
    assert [row.id for row in read_rows(store.folder)] == ["one"]
    assert "could be written by others (mode 777)" in caplog.text
    assert "could be written by others (mode 666)" in caplog.text
    assert "could be written by others (mode 664)" in caplog.text


def warm(folder: Path) -> DiskTier:
    tier = DiskTier(folder, "one model", 1_000_000)
    tier.write(Snapshot(KEY, 0, 4, b"data"))
    tier.close()
    return tier


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key.chmod(0o666),
        lambda key: key.chmod(0o644),
        lambda key: key.chmod(0o640),
        lambda key: key.chmod(0o602),
        lambda key: key.write_bytes(bytes(32)),
        lambda key: key.write_bytes(b"\xff" * 32),
        lambda key: key.write_bytes(b"password" * 4),
        lambda key: key.write_bytes(os.urandom(31)),
        lambda key: key.write_bytes(os.urandom(33)),
    ],
)
def test_a_key_that_others_may_know_is_refused_and_proves_nothing(
    tmp_path: Path, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    warm(tmp_path)
    spoil(tmp_path / "key")
    known = (tmp_path / "key").read_bytes()
    forger = DiskTier.__new__(DiskTier)  # whoever knows the key signs what he likes
    forger._mac_key, forger._fingerprint = known[:64], b"one model"
    file = next(tmp_path.glob("*/*.kv"))
    file.write_bytes(forger._header(Snapshot(KEY, 0, 4, b"evil")) + b"evil")
    with caplog.at_level(logging.WARNING):
        tier = DiskTier(tmp_path, "one model", 1_000_000)
    assert "a new one takes its place" in caplog.text
    assert tier.read(KEY) is None
    assert not file.exists()
    assert (tmp_path / "key").read_bytes() != known
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    tier.close()
    warm(tmp_path)
    again = DiskTier(tmp_path, "one model", 1_000_000)
    assert again.read(KEY) == Snapshot(KEY, 0, 4, b"data")
    again.close()


def test_a_sound_key_is_kept(tmp_path: Path) -> None:
    warm(tmp_path)
    key = (tmp_path / "key").read_bytes()
    tier = DiskTier(tmp_path, "one model", 1_000_000)
    assert tier.read(KEY) == Snapshot(KEY, 0, 4, b"data")
    assert (tmp_path / "key").read_bytes() == key
    tier.close()


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_digests_that_others_could_write_prove_no_model(tmp_path: Path, mode: int) -> None:
    model, memory = tmp_path / "model", tmp_path / "digests.json"
    model.write_bytes(b"weights")
    sound = digest(model, memory)
    memory.write_text(memory.read_text().replace(sound, "0" * 64))
    assert digest(model, memory) == "0" * 64  # nobody else can have written this
    memory.chmod(mode)
    assert digest(model, memory) == sound
    assert stat.S_IMODE(memory.stat().st_mode) == 0o600


def test_what_others_could_only_read_is_believed_and_closed(tmp_path: Path) -> None:
    file = tmp_path / "small.json"
    file.write_text("[1]")
    file.chmod(0o644)
    assert read_json(file, 100) == [1]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_no_mode_can_be_changed_of_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _mode: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    file = tmp_path / "small.json"
    file.write_text("[1]")
    file.chmod(0o644)
    monkeypatch.setattr(os, "fchmod", refuse)
    assert read_json(file, 100) == [1]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no room"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_the_file_as_it_was_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(_descriptor: int) -> None:
        raise error

    (tmp_path / "small.json").write_text("[1]")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_private(tmp_path / "small.json", b"[2]")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("small.json", "[1]")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_belongs_to_somebody_else_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "small.json"
    write_private(file, b"[1]")
    os.chown(file, 12345, 12345)
    assert read_json(file, 100) is None
    assert "belongs to user 12345" in caplog.text
    warm(tmp_path / "cache")
    key = (tmp_path / "cache" / "key").read_bytes()
    os.chown(tmp_path / "cache" / "key", 12345, 12345)
    warm(tmp_path / "cache")
    assert (tmp_path / "cache" / "key").read_bytes() != key


# --- links --------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder that is none of ours, with files that look like ours; it must stay as it is."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    folder.chmod(0o755)
    for name in (f"{KEY.hex()}.kv", "photo.kv", "20200101T000000-aa.jsonl", visitor_of("a")):
        (folder / name).write_bytes(b'{"visitor": "%s"}' % visitor_of("a").encode() * 100)
    before = {path.name: (path.read_bytes(), path.stat().st_mode) for path in folder.iterdir()}
    yield folder
    assert {path.name: (path.read_bytes(), path.stat().st_mode) for path in folder.iterdir()} == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.parametrize("place", ["a folder beside its own", "its own folder", "the whole cache"])
def test_the_prefix_cache_deletes_nothing_behind_a_link(tmp_path: Path, elsewhere: Path, place: str) -> None:
    cache = tmp_path / "cache"
    if place == "the whole cache":
        cache.symlink_to(elsewhere.parent)  # so that the files lie one folder down, as the cache's do
    else:
        warm(cache)
        own = next(path for path in cache.iterdir() if path.is_dir())
        if place == "its own folder":
            for path in own.iterdir():
                path.unlink()
            own.rmdir()
            own.symlink_to(elsewhere)
        else:
            (cache / "more").symlink_to(elsewhere)
    tier = DiskTier(cache, "one model", 300)  # less than the files elsewhere have
    assert (KEY in tier) is (place == "a folder beside its own")
    tier.read(KEY)
    for number in range(4):
        tier.write(Snapshot(bytes([number]) * 16, 0, 4, b"x" * 100))
    tier.close()
    assert sum(path.lstat().st_size for path in cache.glob("*/*.kv") if not path.parent.is_symlink()) <= 300


@pytest.mark.parametrize("name", [f"{KEY.hex()}.kv", f"{'ab' * 16}.kv"])
@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a link"])
def test_the_prefix_cache_leaves_what_is_no_file_of_its_own(
    tmp_path: Path, elsewhere: Path, name: str, kind: str
) -> None:
    warm(tmp_path / "cache")
    own = next(path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    (own / name).unlink(missing_ok=True)
    {
        "a folder": lambda: (own / name).mkdir(),
        "a pipe": lambda: os.mkfifo(own / name),
        "a link": lambda: (own / name).symlink_to(elsewhere / "photo.kv"),
    }[kind]()
    tier = DiskTier(tmp_path / "cache", "one model", 1_000_000)
    assert tier.read(bytes.fromhex(name[:32])) is None
    tier.close()


@pytest.mark.parametrize("place", ["", "open", "waiting", "kept", "forget"])
def test_feedback_deletes_nothing_behind_a_link(tmp_path: Path, elsewhere: Path, place: str) -> None:
    folder = tmp_path / "feedback"
    if place:
        Store(folder)
        (folder / place).rmdir()
    (folder / place).symlink_to(elsewhere)
    store = Store(folder, sends=True, file_bytes=1, folder_bytes=400)
    for number in range(3):
        store.append(FeedbackRow(id=str(number), visitor=visitor_of("b"), kind="thumb", verdict="up"))
        for path in store.waiting():
            store.sent(path)
    assert store.forget(visitor_of("a")) == 0
    store.forgotten([visitor_of("a")])
    assert len(list(read_rows(folder))) >= 1


def test_a_link_in_a_files_place_is_replaced_and_what_it_leads_to_is_not(tmp_path: Path, elsewhere: Path) -> None:
    for name in ("written", "made"):
        (tmp_path / name).symlink_to(elsewhere / "photo.kv")
    write_private(tmp_path / "written", b"x")
    private_file(tmp_path / "made")
    assert not any((tmp_path / name).is_symlink() for name in ("written", "made"))
    (tmp_path / "folder").symlink_to(elsewhere)
    private_folder(tmp_path / "folder")
    assert not (tmp_path / "folder").is_symlink()
    (tmp_path / "link").symlink_to(elsewhere / "photo.kv")
    make_private(tmp_path / "link")


@pytest.mark.parametrize("kind", ["a folder", "a link", "a file"])
def test_what_lies_where_the_start_tries_to_write_is_left_alone(tmp_path: Path, elsewhere: Path, kind: str) -> None:
    trial = tmp_path / "data" / ".write-test"
    trial.parent.mkdir()
    plants: dict[str, Callable[[], object]] = {
        "a folder": lambda: (trial / "in").mkdir(parents=True),
        "a link": lambda: trial.symlink_to(elsewhere / "photo.kv"),
        "a file": lambda: trial.write_bytes(SECRET),
    }
    plants[kind]()
    settings = Settings.from_env({"DATA_DIR": str(tmp_path / "data")})
    assert settings.parts.data == (tmp_path / "data").resolve()
    assert trial.exists()
