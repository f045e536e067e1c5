"""What stands between a tag and a release: papers that agree, tags that move by digest, nights that are reported."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import nightly_report
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly_report import MOST_CHARACTERS, keep
from release import Registry, ReleaseRefused, check_release, main, notes, parse, roll_back, tag_release, tags_of

from tests.ci.registry import index, nested, serving

ROOT = Path(__file__).parents[2]
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-02

- Tours in four languages.

## [1.1.0] - 2026-10-01

- First.
"""


@pytest.mark.parametrize(
    ("version", "published", "expected"),
    [
        ("1.2.3", [], ["1.2.3", "1.2", "1", "latest"]),
        ("v1.2.3", ["1.2.2", "latest"], ["1.2.3", "1.2", "1", "latest"]),
        ("1.3.0", ["1.2.9"], ["1.3.0", "1.3", "1", "latest"]),
        ("1.2.4", ["1.2.3", "1.3.0"], ["1.2.4", "1.2"]),  # a backport below a newer minor
        ("1.9.0", ["2.0.0"], ["1.9.0", "1.9", "1"]),  # a backport below a newer major
        ("1.2.2", ["1.2.3"], ["1.2.2"]),
        ("2.0.0-rc.1", ["1.9.0"], ["2.0.0-rc.1"]),
        ("2.0.0", ["2.0.0-rc.1", "1.9.0"], ["2.0.0", "2.0", "2", "latest"]),
        ("1.9.1", ["1.9.0", "2.0.0-rc.1"], ["1.9.1", "1.9", "1", "latest"]),  # a pre-release holds nothing back
        ("0.1.0", [], ["0.1.0", "0.1", "latest"]),  # there is no tag 0
        ("0.2.0", ["0.1.0", "sha-abc", "latest", "0.1"], ["0.2.0", "0.2", "latest"]),
        ("1.10.0", ["1.9.0"], ["1.10.0", "1.10", "1", "latest"]),  # compared as numbers
        ("1.2.3", ["1.2.3", "1.2"], ["1.2.3", "1.2", "1", "latest"]),  # a run that broke off is taken up again
    ],
)
def test_the_tags_of_a_version(version: str, published: list[str], expected: list[str]) -> None:
    assert tags_of(version, published) == expected


@pytest.mark.parametrize(
    "version", ["1.2", "latest", "01.2.3", "", "1.2.3+local", "1.2.3-", "1.2.3-a..b", f"1.2.3-{'a' * 123}", "1.2.3\n"]
)
def test_what_no_tag_can_hold_is_refused(version: str) -> None:
    with pytest.raises(ReleaseRefused, match="write it like"):
        parse(version)


numbers = st.integers(0, 3)
versions = st.builds(
    lambda a, b, c, pre: f"{a}.{b}.{c}{pre}", numbers, numbers, numbers, st.sampled_from(["", "", "-rc.1", "-beta"])
)


@given(st.lists(versions, min_size=1, max_size=12))
def test_after_any_order_of_releases_every_moving_tag_is_at_the_newest(order: list[str]) -> None:
    registry: dict[str, str] = {}
    for version in order:
        for tag in tags_of(version, registry):
            registry[tag] = version
    stable = [parse(version)[0] for version in order if "-" not in version]
    expected = {version: version for version in order}
    moving = {"latest": max(stable)} if stable else {}
    for major, minor, _ in stable:
        moving[f"{major}.{minor}"] = max(one for one in stable if one[:2] == (major, minor))
        moving |= {str(major): max(one for one in stable if one[0] == major)} if major else {}
    assert registry == expected | {tag: ".".join(map(str, one)) for tag, one in moving.items()}


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """skopeo's environment with a registry at REGISTRY; without skopeo and docker-registry there is no REGISTRY."""
    found = dict(os.environ)
    if not shutil.which("skopeo") or not shutil.which("docker-registry"):
        yield found
        return
    with serving(tmp_path_factory.mktemp("registry") / "one", found) as address:
        yield {**found, "REGISTRY": address}


class Memory(Registry):
    """A repository in memory."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    def tags(self) -> list[str]:
        return list(self.held)

    def digest(self, tag: str) -> str:
        if tag not in self.held:
            raise ReleaseRefused("manifest unknown")
        return self.held[tag]

    def point(self, tag: str, digest: str) -> None:
        self.held[tag] = digest


def pushed(env: dict[str, str], name: str, folder: Path, *texts: str) -> tuple[Registry, list[str]]:
    """A repository, and the digests of indexes that lie in it."""
    if "REGISTRY" not in env:
        return Memory(), [f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text in texts]
    repository = f"{env['REGISTRY']}/{name}"
    digests = [index(f"{repository}:sha-{n}", folder / f"{n}", env, text) for n, text in enumerate(texts)]
    return Registry(repository), digests


@pytest.fixture
def told(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("HOME", env["HOME"])
    return env


@pytest.fixture
def real(told: dict[str, str]) -> dict[str, str]:
    if "REGISTRY" not in told:
        pytest.skip("needs skopeo and docker-registry")
    return told


def table(registry: Registry) -> dict[str, str]:
    return {tag: registry.digest(tag) for tag in registry.tags() if not tag.startswith("sha-")}


def test_releases_repeat_keep_their_digest_and_roll_back_with_every_moving_tag(
    told: dict[str, str], tmp_path: Path
) -> None:
    registry, (old, new) = pushed(told, "app", tmp_path, "one", "two")
    tag_release(registry, old, "1.2.3")
    assert table(registry) == {"1.2.3": old, "1.2": old, "1": old, "latest": old}
    tag_release(registry, new, "1.2.4")
    registry.point("1", old)  # as if the run had broken off
    assert tag_release(registry, new, "1.2.4") == ["1.2.4", "1.2", "1", "latest"]
    assert table(registry) == {"1.2.3": old, "1.2.4": new, "1.2": new, "1": new, "latest": new}
    with pytest.raises(ReleaseRefused, match=rf"1\.2\.4 is published as {new} and stays so; raise the version"):
        tag_release(registry, old, "1.2.4")
    assert tag_release(registry, old, "2.0.0-rc.1") == ["2.0.0-rc.1"]
    assert roll_back(registry, "1.2.4", "1.2.3") == ["1.2", "1", "latest"]
    assert table(registry) == {"1.2.3": old, "1.2.4": new, "2.0.0-rc.1": old, "1.2": old, "1": old, "latest": old}
    assert roll_back(registry, "1.2.4", "1.2.3") == []
    with pytest.raises(ReleaseRefused, match="manifest unknown"):
        roll_back(registry, "1.2.4", "1.2.2")


def test_a_roll_back_of_a_backport_leaves_the_newest_release_alone(told: dict[str, str], tmp_path: Path) -> None:
    registry, (first, bad, newest) = pushed(told, "backport", tmp_path, "one", "two", "three")
    for digest, version in ((first, "1.2.3"), (newest, "1.3.0"), (bad, "1.2.4")):
        tag_release(registry, digest, version)
    assert roll_back(registry, "1.2.4", "1.2.3") == ["1.2"]
    assert table(registry) == {"1.2.3": first, "1.2.4": bad, "1.3.0": newest, "1.2": first, "1.3": newest,
                               "1": newest, "latest": newest}  # fmt: skip


def make(env: dict[str, str], *words: str) -> str:
    command = ["make", "--no-print-directory", "-f", str(ROOT / ".github/ci.mk"), *words]
    folder = env["HERE"]
    return subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


def test_a_digest_is_pushed_copied_and_found_again_by_make(real: dict[str, str], tmp_path: Path) -> None:
    """What image.yml and release.yml call, with an archive nested as BuildKit's attestations would have it."""
    plain = nested(tmp_path / "image-amd64.tar", "amd64")
    ours, theirs = f"{real['REGISTRY']}/ours/app", f"{real['REGISTRY']}/theirs/app"
    env = {**real, "HERE": str(tmp_path), "IMAGE": ours, "QUAY": theirs, "COMMIT": "c0ffee", "ARCH": "amd64",
           "GITHUB_OUTPUT": str(tmp_path / "output")}  # fmt: skip
    make(env, "image-push")
    assert (tmp_path / "output").read_text() == f"digest={plain}\n"  # the image's, not that of an index around it
    whole = index(f"{ours}:sha-c0ffee", tmp_path / "index", env)
    make(env, "release-digest")
    assert (tmp_path / "output").read_text().splitlines()[-1] == f"digest={whole}"
    for _ in range(2):
        make({**env, "DIGEST": whole}, "release-copy")
    assert Registry(theirs).tags() == []  # by digest: no tag moves before signature and proof
    registry = Registry(theirs)
    registry.point("1.0.0", whole)
    assert registry.digest("1.0.0") == whole


def test_a_nested_archive_becomes_one_plain_image(real: dict[str, str], tmp_path: Path) -> None:
    nested(tmp_path / "image-arm64.tar", "arm64")
    make({**real, "HERE": str(tmp_path), "ARCH": "arm64", "ENGINE": "echo"}, "image-load")
    listed = subprocess.run(
        ["tar", "-xOf", tmp_path / "flat-arm64.tar", "manifest.json"], capture_output=True, check=True
    )
    (image,) = json.loads(listed.stdout)
    assert image["RepoTags"] == ["localhost/qubinode:loaded"]
    assert len(image["Layers"]) == 1


def test_a_registry_that_refuses_is_no_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(subprocess, "run", run)
    said = "invalid status code from registry 404 (Not Found)"
    assert Registry("quay.io/a/b").tags() == []
    said = "401 (Unauthorized)"
    with pytest.raises(ReleaseRefused, match="401"):
        Registry("quay.io/a/b").tags()


def test_a_tag_that_reads_back_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "sha256:b\n", "")
    )
    with pytest.raises(ReleaseRefused, match="is sha256:b instead of sha256:a; run it again"):
        Registry("quay.io/a/b").point("latest", "sha256:a")


def test_a_release_needs_tag_version_and_changelog_to_agree() -> None:
    check_release("v1.2.0", "1.2.0", CHANGELOG)
    check_release("v1.2.0", "1.2.0", CHANGELOG.replace("## [Unreleased]\n\n", ""))  # as the instructions leave it


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "why"),
    [
        ("v1.2.1", "1.2.0", CHANGELOG, "unlike the version"),
        ("1.2.0", "1.2.0", CHANGELOG, "unlike the version"),
        ("v1.3.0", "1.3.0", CHANGELOG, "newest section is of 1.2.0"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace(" - 2026-11-02", ""), "no date"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("- Tours in four languages.", ""), "says nothing"),
        ("v1.2.0", "1.2.0", "# Changelog\n", "newest section is of nothing"),
    ],
)
def test_a_release_that_does_not_agree_is_refused(tag: str, version: str, changelog: str, why: str) -> None:
    with pytest.raises(ReleaseRefused, match=why):
        check_release(tag, version, changelog)


def test_the_commands_print_and_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    root = ["--root", str(tmp_path)]
    assert main([*root, "check", "v1.2.0"]) == 0
    assert main([*root, "check", "v1.2.1"]) == 1
    capsys.readouterr()
    assert main([*root, "notes", "v1.2.0"]) == 0
    assert capsys.readouterr().out == "- Tours in four languages.\n"
    assert notes("1.1.0", CHANGELOG) == "- First."


def test_a_release_needs_nothing_but_the_systems_python() -> None:
    done = subprocess.run(["python3", "-I", ".github/scripts/release.py", "notes", "9.9.9"], cwd=ROOT, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stderr == "the changelog says nothing of 9.9.9; write what changed\n"


class Issues:
    """GitHub's client as far as the report uses it."""

    def __init__(self, number: str = "") -> None:
        self.number, self.calls = number, list[list[str]]()

    def __call__(self, arguments: Sequence[str]) -> str:
        self.calls.append(list(arguments))
        return self.number if arguments[1] == "list" else ""


RUN = "https://example.org/run"


@pytest.mark.parametrize(
    ("body", "number", "again", "done", "call"),
    [
        ("\n", "", "edit", "all well", "list"),
        ("", "7\n", "edit", "closed 7", "close"),
        ("soak: failure\n", "7\n", "comment", "comment on 7", "comment"),
        ("soak: failure\n", "", "comment", "opened", "create"),
        ("  a.md:3  vanished  b.sh\n" * 9999, "7\n", "edit", "edit on 7", "edit"),
    ],
)
def test_what_fell_has_one_issue(body: str, number: str, again: str, done: str, call: str) -> None:
    issues = Issues(number)
    assert keep("Something fails", body, again, RUN, issues) == done
    assert issues.calls[-1][:2] == ["issue", call]
    assert 'in:title "Something fails"' in issues.calls[0]
    if body.strip():
        assert issues.calls[-1][-1].startswith(f"{RUN}\n\n````text\n{body.strip()[:99]}")
        assert len(issues.calls[-1][-1]) < MOST_CHARACTERS + 200


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ('{"bench": {"result": "success"}, "soak": {"result": "success"}}', ""),
        ('{"bench": {"result": "success"}, "soak": {"result": "skipped"}, "harden": {"result": "failure"}}',
         "soak: skipped\nharden: failure"),
    ],
)  # fmt: skip
def test_the_night_names_the_jobs_that_fell(needs: str, said: str) -> None:
    program = re.search(r"jq -er '(.*?)'", (ROOT / ".github/ci.mk").read_text().partition("nightly-report:")[2])
    assert program
    if not shutil.which("jq"):
        pytest.skip("needs jq")
    done = subprocess.run(["jq", "-er", program[1]], input=needs, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said


@pytest.mark.parametrize(
    ("checked", "code", "said"),
    [
        ("0 cited files changed", 0, ""),
        ("a.md:3  path  b.sh  (no such file)", 1, "a.md:3  path  b.sh  (no such file)"),
        ("  a.md:3  moved  b.sh  (now c/b.sh)", 0, "  a.md:3  moved  b.sh  (now c/b.sh)"),
        ("no data", 2, None),
    ],
)
def test_what_upstream_changed_is_told_and_a_check_that_did_not_run_is_no_report(
    tmp_path: Path, checked: str, code: int, said: str | None
) -> None:
    """The recipe's own words, with another check in the place of ours."""
    recipe = (ROOT / ".github/ci.mk").read_text().partition("nightly-upstream:")[2].partition("\n\n")[0]
    shell = recipe[recipe.index("code=0;") : recipe.index("\n\tpython3")].replace("\\\n", "").replace("$$", "$")
    asked = re.sub(
        r"\$\(PY\) -m rag check --upstream \S+ --since \S+", f"sh -c 'echo \"{checked}\"; exit {code}'", shell
    )
    done = subprocess.run(
        ["sh", "-c", asked.replace("$(BUILD)", str(tmp_path))], capture_output=True, text=True, check=False
    )
    assert done.returncode == (code if said is None else 0)
    if said is not None:
        assert (tmp_path / "upstream.md").read_text().rstrip("\n") == said


def test_nothing_to_report_from_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        nightly_report.main(["Title", str(tmp_path / "none")])
