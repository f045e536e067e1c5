"""What the locks hold, and that everything installs from them: the environment, the image and the gates."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from sbom import pinned

ROOT = Path(__file__).parents[2]


def not_in_image() -> set[str]:
    listed = re.search(r"^NOT_IN_IMAGE := (.*)$", (ROOT / ".github" / "ci.mk").read_text(), re.MULTILINE)
    assert listed
    return set(listed[1].split())


@pytest.mark.parametrize(
    ("name", "left_out"), [("requirements", not_in_image()), ("requirements-full", set())], ids=["image", "full"]
)
def test_the_lock_has_every_pin_at_its_version_and_every_package_by_hash(name: str, left_out: set[str]) -> None:
    lock = (ROOT / f"{name}.lock").read_text()
    locked = pinned(lock)
    pins = {name: pin for name, pin in pinned((ROOT / "requirements.txt").read_text()).items() if name not in left_out}
    assert len(pins) > 30
    assert {name: version for name, version in pins.items() if locked.get(name) != version} == {}
    entries = [entry for entry in lock.replace("\\\n", " ").splitlines() if "==" in entry]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not [entry for entry in entries if entry.startswith(("nvidia", "cuda", "triton"))]


def test_the_images_lock_is_the_larger_one_without_what_embeddings_need() -> None:
    small, large = (pinned((ROOT / f"requirements{kind}.lock").read_text()) for kind in ("", "-full"))
    assert {name: large.get(name) for name in small} == small
    left_out = large.keys() - small.keys()
    training = {"accelerate", "datasets", "peft", "trl"}
    assert not_in_image() - training == {
        "pyarrow", "scikit-learn", "scipy", "sentence-transformers", "torch", "transformers"
    }  # fmt: skip
    assert not_in_image() > training
    assert left_out >= {*not_in_image(), "sympy", "joblib"}
    assert not small.keys() & {"torch", "transformers", "scipy"}


def lines_of(lock: str, package: str) -> str:
    """What a lock says of one package, with its hashes."""
    command = ["sed", "-n", rf"/^{package}==/,/[^\\]$/p", str(ROOT / lock)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_image_and_the_gates_take_their_packages_out_of_the_lock() -> None:
    dockerfile, recipes = (ROOT / "Dockerfile").read_text(), (ROOT / ".github/ci.mk").read_text()
    for package, text in (("llama-cpp-python", dockerfile), ("packaging", recipes.replace("$$", "$"))):
        assert rf"sed -n '/^{package}==/,/[^\\]$/p'" in text
        assert set(pinned(lines_of("requirements.lock", package))) == {package}
        assert lines_of("requirements.lock", package).count("--hash=sha256:") >= 1
    assert "--require-hashes -r $(BUILD)/gate-tools.txt" in recipes


def test_uv_has_one_version() -> None:
    pin = re.search(r"^uv==(\S+)$", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    argument = re.search(r"^ARG UV=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert pin
    assert argument
    assert pin[1] == argument[1]


def test_an_update_raises_pins_and_keeps_everything_else(tmp_path: Path) -> None:
    """The recipe's own awk, on names that differ in case, extras and markers."""
    recipe = (ROOT / ".github/ci.mk").read_text().replace("\\\n", "\n")
    program = re.search(r"awk '(NR == FNR.*?)' \$\(BUILD\)/newest", recipe, re.DOTALL)
    assert program
    assert "--fork-strategy fewest" in recipe  # else a pin may be raised to a version that 3.11 cannot install
    (tmp_path / "newest").write_text("gradio==7.0.0\njinja2==4.0 ; sys_platform == 'linux'\n")
    (tmp_path / "pins").write_text(
        '# gradio==1\ngradio[mcp]==6.0\nJinja2==3.1\nother==1\natheris==3.0; sys_platform == "linux"\n'
    )
    command = ["awk", program[1].replace("$$", "$"), str(tmp_path / "newest"), str(tmp_path / "pins")]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert done == '# gradio==1\ngradio[mcp]==7.0.0\nJinja2==4.0\nother==1\natheris==3.0; sys_platform == "linux"\n'
