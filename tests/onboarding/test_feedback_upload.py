"""Feedback on its way to the Hub: a stand-in on loopback that is away, cuts answers, and comes back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from onboarding.feedback import read_rows
from onboarding.feedback.row import visitor_of
from onboarding.feedback.service import Feedback, FeedbackSettings
from onboarding.feedback.store import Store, rows_in
from onboarding.feedback.upload import TROUBLE, NotPrivate, Uploader
from tests.hub_stand_in import TOKEN, Hub, Repository, serve
from tests.onboarding.test_feedback_store import row
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
REPO = "someone/feedback"
DATASET = f"datasets/{REPO}"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "feedback", sends=True)


class Failures:
    """Counts the tries that failed."""

    count = 0

    def __call__(self) -> None:
        self.count += 1


def uploader(
    store: Store, url: str, period_s: float = 300.0, pause_s: float = 1.0, failures: Failures | None = None
) -> Uploader:
    api = HfApi(endpoint=url, token=TOKEN)
    return Uploader(store, api, REPO, period_s, pause_s, failures or Failures())


def on_hub(hub: Hub) -> list[str]:
    """Return the ids of all rows in the dataset, doubled ones twice."""
    files = hub.repositories[DATASET].files if DATASET in hub.repositories else {}
    return sorted(row.id for name, data in files.items() if name.startswith("rows/") for row in rows_in(data))


def ids(numbers: range) -> list[str]:
    return [row(number).id for number in numbers]


def test_rows_reach_a_dataset_that_is_private_and_are_sent_once(hub: Hub, store: Store) -> None:
    one = uploader(store, hub.url)
    for number in range(3):
        store.append(row(number))
    one.send()
    commits = hub.count("/commit/")
    one.send()
    assert hub.repositories[DATASET].private
    assert on_hub(hub) == ids(range(3)) and hub.count("/commit/") == commits == 1
    assert store.waiting() == [] and [one.id for one in read_rows(store.folder)] == ids(range(3))


def test_nothing_is_sent_to_a_dataset_that_anybody_can_read(hub: Hub, store: Store) -> None:
    hub.repositories[DATASET] = Repository(private=False)
    store.append(row(1))
    with pytest.raises(NotPrivate, match="make it private"):
        uploader(store, hub.url).send()
    assert on_hub(hub) == [] and len(store.waiting()) == 1


def test_an_outage_from_the_start_and_another_one_lose_and_double_nothing(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    failures = Failures()
    one = uploader(store, f"http://127.0.0.1:{port}", 0.05, 0.02, failures)
    one.start()
    for number in range(10):
        store.append(row(number))
    eventually(lambda: failures.count >= 3)
    assert one.status().files_waiting >= 1 and "Connect" in one.status().trouble
    with serve(port) as hub:
        eventually(lambda: on_hub(hub) == ids(range(10)))
        hub.is_down = True
        so_far = failures.count
        for number in range(10, 30):
            store.append(row(number))
        eventually(lambda: failures.count >= so_far + 3)
        assert on_hub(hub) == ids(range(10))
        hub.lost["/commit/"] = 2  # the first commits after it are carried out, and their answers are lost
        hub.faults["/preupload/"] = [503, 429, 500]
        hub.is_down = False
        for number in range(30, 40):
            store.append(row(number))
        eventually(lambda: one.status().trouble == "" and store.waiting() == [] and len(on_hub(hub)) >= 40)
        one.close()
        assert on_hub(hub) == ids(range(40)) and hub.lost["/commit/"] == 0
    assert [one.id for one in read_rows(store.folder)] == ids(range(40))


def test_a_restart_during_the_outage_carries_on_where_it_stood(hub: Hub, store: Store) -> None:
    hub.is_down = True
    store.append(row(1))
    with pytest.raises(TROUBLE):
        uploader(store, hub.url).send()
    later = Store(store.folder, sends=True)
    later.append(row(2))
    hub.is_down = False
    uploader(later, hub.url).send()
    assert on_hub(hub) == ids(range(1, 3))


def test_closing_sends_what_is_left_and_never_waits_for_a_hub_that_is_away(hub: Hub, store: Store) -> None:
    one = uploader(store, hub.url, period_s=3600)
    one.start()
    store.append(row(1))
    one.close()
    assert on_hub(hub) == ids(range(1, 2))
    hub.is_down = True
    failures = Failures()
    two = uploader(store, hub.url, 0.01, 3600, failures)
    two.start()
    store.append(row(2))
    eventually(lambda: failures.count > 0)
    two.close(timeout_s=30)
    assert len(store.waiting()) == 1


def test_forgetting_rewrites_the_dataset_and_leaves_no_trace_in_its_history(hub: Hub, store: Store) -> None:
    one = uploader(store, hub.url)
    for number in range(4):
        store.append(row(number, "ab"[number % 2]))
        one.send()
    store.append(row(9, "a"))
    one.send()
    store.forget(visitor_of("a"))
    one.send()
    assert on_hub(hub) == [row(1).id, row(3).id] and store.to_forget() == []
    everything = b"".join(data for commit in hub.repositories[DATASET].commits for data in commit.values())
    assert visitor_of("a").encode() not in everything and visitor_of("b").encode() in everything
    assert f"gone/{visitor_of('a')}" in hub.repositories[DATASET].files, "an older copy would count again"
    assert [path.name for path in store.folder.iterdir() if path.name.startswith("tmp")] == []


def test_forgetting_while_the_hub_is_away_is_made_up_for(hub: Hub, store: Store) -> None:
    one = uploader(store, hub.url)
    store.append(row(1, "a"))
    one.send()
    hub.is_down = True
    store.forget(visitor_of("a"))
    with pytest.raises(TROUBLE):
        one.send()
    assert len(store.to_forget()) == 1 and list(read_rows(store.folder)) == []
    hub.is_down = False
    hub.faults["/super-squash/"] = [500]  # rewritten, but the history is still there
    after_restart = Store(store.folder, sends=True)
    again = uploader(after_restart, hub.url)
    with pytest.raises(TROUBLE):
        again.send()
    assert len(after_restart.to_forget()) == 1
    again.send()
    assert on_hub(hub) == [] and after_restart.to_forget() == []
    assert all(visitor_of("a").encode() not in data for c in hub.repositories[DATASET].commits for data in c.values())


def test_a_bug_in_one_try_does_not_end_the_sending(hub: Hub, store: Store) -> None:
    class Buggy(Uploader):
        bugs = 2

        def send(self) -> None:
            if self.bugs:
                self.bugs -= 1
                raise KeyError("a bug")
            super().send()

    failures = Failures()
    one = Buggy(store, HfApi(endpoint=hub.url, token=TOKEN), REPO, 0.02, 0.02, failures)
    store.append(row(1))
    one.start()
    eventually(lambda: on_hub(hub) == ids(range(1, 2)))
    one.close()
    assert failures.count == 2


def test_a_commit_that_somebody_else_made_meanwhile_is_kept(hub: Hub, store: Store) -> None:
    one = uploader(store, hub.url)
    store.append(row(1, "a"))
    one.send()
    hub.meanwhile.append({"README.md": b"# Feedback\n"})
    store.forget(visitor_of("a"))
    with pytest.raises(TROUBLE):
        one.send()
    one.send()
    assert on_hub(hub) == [] and hub.repositories[DATASET].files["README.md"] == b"# Feedback\n"


SCRIPT = """
import sys
from pathlib import Path
from onboarding.feedback.service import Feedback, FeedbackSettings
from tests.onboarding.test_feedback_upload import TOKEN, REPO, row
feedback = Feedback.of(FeedbackSettings(Path(sys.argv[1]), REPO, TOKEN))
feedback.start()
feedback.keep(row(1))
feedback.close()
print(feedback.status().files_waiting)
"""


def test_the_whole_goes_to_the_endpoint_of_the_environment(hub: Hub, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr
    assert on_hub(hub) == ids(range(1, 2))


def test_without_a_dataset_nothing_waits(tmp_path: Path) -> None:
    feedback = Feedback.of(FeedbackSettings(tmp_path))
    feedback.start()
    feedback.keep(row(1))
    feedback.close()
    assert feedback.status().files_waiting == 0 and feedback.forget("a") == 1
