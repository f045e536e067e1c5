"""Image tags: releases move what they may, pre-releases and backports move nothing of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version
from tags import TagRefused, check_release, main, notes, tag_set

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-02

- Tours in four languages.

## [1.1.0] - 2026-10-01

- First.
"""


@pytest.mark.parametrize(
    ("version", "existing", "expected"),
    [
        ("1.2.3", [], ["1.2.3", "1.2", "1", "latest"]),
        ("v1.2.3", ["1.2.2", "latest"], ["1.2.3", "1.2", "1", "latest"]),
        ("1.3.0", ["1.2.9"], ["1.3.0", "1.3", "1", "latest"]),
        ("1.2.4", ["1.2.3", "1.3.0"], ["1.2.4", "1.2"]),  # a backport below a newer minor
        ("1.9.0", ["2.0.0"], ["1.9.0", "1.9", "1"]),  # a backport below a newer major
        ("1.2.2", ["1.2.3"], ["1.2.2"]),
        ("2.0.0-rc.1", ["1.9.0"], ["2.0.0-rc.1"]),
        ("2.0.0-rc.1", [], ["2.0.0-rc.1"]),
        ("2.0.0", ["2.0.0-rc.1", "1.9.0"], ["2.0.0", "2.0", "2", "latest"]),
        ("1.9.1", ["1.9.0", "2.0.0-rc.1"], ["1.9.1", "1.9", "1", "latest"]),  # a pre-release holds nothing back
        ("0.1.0", [], ["0.1.0", "0.1", "latest"]),  # there is no tag 0
        ("0.2.0", ["0.1.0", "sha-abc", "latest", "0.1"], ["0.2.0", "0.2", "latest"]),
        ("1.10.0", ["1.9.0"], ["1.10.0", "1.10", "1", "latest"]),  # compared as numbers
    ],
)
def test_the_tags_of_a_version(version: str, existing: list[str], expected: list[str]) -> None:
    assert tag_set(version, existing) == expected


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("1.2", "no semantic version"),
        ("latest", "no semantic version"),
        ("01.2.3", "no semantic version"),
        ("", "no semantic version"),
        ("1.2.3+local", "build metadata"),
        ("1.0.0", "published already"),
        ("1.0.0-rc.1", "published already"),
    ],
)
def test_a_version_that_cannot_be_published_is_refused(version: str, why: str) -> None:
    with pytest.raises(TagRefused, match=why):
        tag_set(version, ["1.0.0", "1.0.0-rc.1"])


numbers = st.integers(0, 3)
versions = st.builds(
    lambda a, b, c, pre: f"{a}.{b}.{c}{pre}", numbers, numbers, numbers, st.sampled_from(["", "", "-rc.1", "-beta"])
)


def publish(order: list[str]) -> dict[str, str]:
    registry: dict[str, str] = {}
    for version in order:
        for tag in tag_set(version, registry):
            registry[tag] = version
    return registry


@given(st.lists(versions, unique=True, min_size=1, max_size=12))
def test_after_any_order_of_releases_every_moving_tag_is_at_the_newest(order: list[str]) -> None:
    registry = publish(order)
    stable = [Version.parse(version) for version in order if "-" not in version]
    assert {version: registry[version] for version in order} == {version: version for version in order}
    moving = {tag: version for tag, version in registry.items() if tag not in order}
    expected = {"latest": str(max(stable))} if stable else {}
    for one in stable:
        expected[f"{one.major}.{one.minor}"] = str(max(v for v in stable if v[:2] == one[:2]))
        if one.major:
            expected[str(one.major)] = str(max(v for v in stable if v.major == one.major))
    assert moving == expected


@given(st.lists(versions, unique=True, min_size=1, max_size=8), st.data())
def test_what_is_published_is_never_published_again(order: list[str], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(order))
    with pytest.raises(TagRefused, match="published already"):
        tag_set(again, publish(order))


@given(st.lists(versions, unique=True, max_size=8), versions.filter(lambda version: "-" in version))
def test_a_pre_release_gets_its_own_tag_only(order: list[str], version: str) -> None:
    assert tag_set(version, [one for one in order if one != version]) == [version]


def test_a_release_needs_tag_version_and_changelog_to_agree() -> None:
    check_release("v1.2.0", "1.2.0", CHANGELOG)


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "why"),
    [
        ("v1.2.1", "1.2.0", CHANGELOG, "unlike the version"),
        ("1.2.0", "1.2.0", CHANGELOG, "unlike the version"),
        ("v1.3.0", "1.3.0", CHANGELOG, "newest section is of 1.2.0"),
        ("v1.1.0", "1.1.0", CHANGELOG, "newest section is of 1.2.0"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace(" - 2026-11-02", ""), "no date"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("- Tours in four languages.", ""), "says nothing"),
        ("v1.2.0", "1.2.0", "# Changelog\n", "newest section is of nothing"),
    ],
)
def test_a_release_that_does_not_agree_is_refused(tag: str, version: str, changelog: str, why: str) -> None:
    with pytest.raises(TagRefused, match=why):
        check_release(tag, version, changelog)


def test_the_notes_are_one_section_of_the_changelog() -> None:
    assert notes("1.2.0", CHANGELOG) == "- Tours in four languages."


def test_the_commands_print_and_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = tmp_path / "published"
    published.write_text("1.0.0\nlatest\n1.0\n")
    assert main(["set", "1.1.0", "--existing", str(published)]) == 0
    assert capsys.readouterr().out.split() == ["1.1.0", "1.1", "1", "latest"]
    assert main(["set", "1.0.0", "--existing", str(published)]) == 1
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    files = ["--changelog", str(tmp_path / "CHANGELOG.md")]
    assert main(["check", "v1.2.0", "--pyproject", str(tmp_path / "pyproject.toml"), *files]) == 0
    assert main(["check", "v1.2.1", "--pyproject", str(tmp_path / "pyproject.toml"), *files]) == 1
    assert main(["notes", "v1.2.0", *files]) == 0
