"""Feedback on disk: whole rows only, within a cap, through crashes, full disks and moving files."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from onboarding.feedback import FeedbackRow, read_rows
from onboarding.feedback.row import visitor_of
from onboarding.feedback.store import NotStored, Store, to_bytes

ROOT = Path(__file__).parents[2]


def row(number: int = 0, visitor: str = "a") -> FeedbackRow:
    return FeedbackRow(id=f"{number:032x}", at=1e9 + number, visitor=visitor_of(visitor), kind="thumb", verdict="up")


def names(folder: Path, stage: str) -> list[str]:
    return [path.name for path in (folder / stage).iterdir()]


def test_rows_come_back_as_they_were_given(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = [row(number) for number in range(3)]
    for one in rows:
        store.append(one)
    assert list(read_rows(tmp_path)) == rows
    assert list(read_rows(tmp_path / "nothing-here")) == []


def test_a_file_is_closed_at_its_size_and_nothing_is_read_twice(tmp_path: Path) -> None:
    store = Store(tmp_path, sends=True, file_bytes=2 * len(to_bytes([row()])))
    for number in range(5):
        store.append(row(number))
    assert len(names(tmp_path, "waiting")) == 2 and len(names(tmp_path, "open")) == 1
    assert sorted(one.id for one in read_rows(tmp_path)) == [row(number).id for number in range(5)]


def test_torn_and_foreign_lines_are_skipped(tmp_path: Path) -> None:
    Store(tmp_path).append(row(1))
    file = next((tmp_path / "open").iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"version": 2}\n\xff\xfe\n[1]\n' + to_bytes([row(2)]) + to_bytes([row(3)])[:-20])
    assert [one.id for one in read_rows(tmp_path)] == [row(1).id, row(2).id]


def test_a_restart_closes_what_a_crash_left_open_and_writes_elsewhere(tmp_path: Path) -> None:
    Store(tmp_path, sends=True).append(row(1))
    left = next((tmp_path / "open").iterdir())
    with left.open("ab") as file:
        file.write(to_bytes([row(2)])[:30])
    after = Store(tmp_path, sends=True)
    after.append(row(3))
    assert [path.name for path in after.waiting()] == [left.name]
    assert [one.id for one in read_rows(tmp_path)] == [row(1).id, row(3).id]


def test_the_folder_keeps_to_its_cap_by_dropping_the_oldest_rows(tmp_path: Path) -> None:
    size = len(to_bytes([row()]))
    store = Store(tmp_path, file_bytes=size, folder_bytes=4 * size)
    for number in range(10):
        store.append(row(number))
    kept = [one.id for one in read_rows(tmp_path)]
    assert len(kept) == 4 and row(9).id in kept
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.jsonl")) <= 4 * size


def test_rows_that_still_wait_for_the_hub_are_never_dropped_for_new_ones(tmp_path: Path) -> None:
    size = len(to_bytes([row()]))
    store = Store(tmp_path, sends=True, file_bytes=size, folder_bytes=2 * size)
    store.append(row(1))
    store.append(row(2))
    with pytest.raises(NotStored, match="full"):
        store.append(row(3))
    store.sent(store.waiting()[0])
    store.append(row(4))
    assert {one.id for one in read_rows(tmp_path)} >= {row(4).id} and len(list(read_rows(tmp_path))) == 2


def test_forgetting_takes_one_visitors_rows_out_of_every_stage(tmp_path: Path) -> None:
    store = Store(tmp_path, sends=True)
    for number, stage in enumerate(("kept", "waiting", "open")):
        store.append(row(number, "a"))
        store.append(row(number + 10, "b"))
        if stage != "open":
            store.close_file()
        if stage == "kept":
            store.sent(store.waiting()[0])
    assert store.forget(visitor_of("a")) == 3
    assert [one.visitor for one in read_rows(tmp_path)] == [visitor_of("b")] * 3
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert visitor_of("a").encode() not in everything
    assert store.to_forget() == [visitor_of("a")]
    for opened in (store, Store(tmp_path, sends=True)):  # also after a restart
        with pytest.raises(NotStored, match="forgotten"):
            opened.append(row(9, "a"))


def test_a_visitor_who_left_nothing_behind_leaves_no_file_either(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(row(1, "a"))
    assert store.forget(visitor_of("a")) == 1
    assert list(tmp_path.rglob("*.jsonl")) == [] and store.to_forget() == []
    store.append(row(2, "b"))
    assert [one.id for one in read_rows(tmp_path)] == [row(2).id]


def test_many_writers_lose_and_double_nothing_while_files_move(tmp_path: Path) -> None:
    store = Store(tmp_path, sends=True, file_bytes=3000)

    def write(first: int) -> None:
        for number in range(first, first + 40):
            store.append(row(number))
            store.close_file()
            for path in store.waiting()[:1]:
                store.sent(path)

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    seen = len(list(read_rows(tmp_path)))
    while any(thread.is_alive() for thread in threads):
        now = len(list(read_rows(tmp_path)))
        assert now >= seen
        seen = now
    assert len([one.id for one in read_rows(tmp_path)]) == 160


SMALL_DISK = """
import resource, sys
from pathlib import Path
from onboarding.feedback import read_rows
from onboarding.feedback.store import NotStored, Store
from tests.onboarding.test_feedback_store import row, visitor_of
disk, is_real = Path(sys.argv[1]), sys.argv[2:] == ["real"]
if not is_real:
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
store = Store(disk / "feedback", sends=True, file_bytes=8_000 if is_real else 10**6)
kept = []
for number in range(5_000):
    try:
        store.append(row(number, "ab"[number % 2]))
        kept.append(row(number).id)
    except NotStored as error:
        assert "No space left" in str(error) or not is_real, error
        assert all(path.read_bytes().endswith(b"\\n") for path in disk.rglob("*.jsonl")), "a torn row was left"
        break
else:
    raise SystemExit("the disk never filled up")
def ids():
    return [one.id for one in read_rows(disk / "feedback")]
assert len(kept) > 100 and ids() == kept, "a row was lost or torn"
assert ids() == [one.id for one in read_rows(Store(disk / "feedback", sends=True).folder)], "a restart lost one"
gone = store.forget(visitor_of("a"))
assert gone == len(kept[::2]) and ids() == kept[1::2], "forgetting on a full disk went wrong"
assert not list(disk.rglob("*.new")), "a half-written copy was left"
store.append(row(9_999, "b"))
assert ids()[-1] == row(9_999).id
print("ok")
"""


def test_a_full_disk_tears_no_row_and_can_still_forget(tmp_path: Path) -> None:
    """A real file system of 256 KiB; where none may be mounted, a file that may not grow."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    inside = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount"]
    is_real = subprocess.run([*inside, *mount], capture_output=True, check=False).returncode == 0
    script = [sys.executable, "-c", SMALL_DISK, str(tmp_path)]
    mounted = [*inside, "sh", "-c", f'{shlex.join(mount)} && exec "$@"', "sh", *script, "real"]
    done = subprocess.run(
        mounted if is_real else script, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_a_row_that_an_earlier_release_wrote_is_read(tmp_path: Path) -> None:
    old = (
        b'{"version":1,"id":"00","at":1e9,"visitor":"v","kind":"source","verdict":"","reason":"outdated","comment":"c",'
        b'"turn":"t","question":"q","answer":"a","route":"rhel10","sources":[{"id":"p","title":"P","url":"https://x.y"}],'
        b'"reported":{"id":"p","title":"P","url":"https://x.y"},"model":"m","took":{"queued_s":0.1,"first_token_s":null,'
        b'"total_s":2.0,"generated":7},"of_another_release":1}\n'
    )
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "1.jsonl").write_bytes(old)
    (kept,) = read_rows(tmp_path)
    assert (kept.kind, kept.reason, kept.sources[0].title, kept.took.generated) == ("source", "outdated", "P", 7)
    assert kept.reported == kept.sources[0]
    assert set(kept.model_dump()) == {
        *("version", "id", "at", "visitor", "kind", "verdict", "reason", "comment", "turn", "question", "answer"),
        *("route", "sources", "reported", "model", "took", "from_browser", "state", "agreed"),
    }
    assert not kept.from_browser
