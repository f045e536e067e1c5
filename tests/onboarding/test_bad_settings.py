"""Every setting with every kind of bad value: the start is refused with one sentence that names it."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

import onboarding.settings
from app import _address, _bind, main
from onboarding.settings import Settings

NO_NUMBERS = ["-1", "1.5", "ten", "²", "1e3", " 5", "0x10", "9" * 5000, "5\nforged: line", "\udcff"]
LONG, LINES, BYTES = "x" * 5000, "a\nforged: line", "\udcff\udcfe"
# name -> values that make no sense; "{file}" is a file, "{loop}" a link to itself, "{link}" one that leads nowhere
BAD: dict[str, list[str]] = {
    "HOST": ["http://127.0.0.1", "127.0.0.1 ", "::g", "[::1", "a/b", "1.2.3.4:80", LONG, LINES, BYTES],
    "PORT": [*NO_NUMBERS, "0", "65536", "http"],
    "GRADIO_SERVER_NAME": ["http://0.0.0.0", "::g"],
    "GRADIO_SERVER_PORT": [*NO_NUMBERS, "0", "65536"],
    "MODEL": ["granite", "AUTO", LONG, LINES, BYTES],
    "HF_HUB_OFFLINE": ["2", "ture", LINES],
    "TRANSFORMERS_OFFLINE": ["offline"],
    "ENGINE": ["vllm", "Local", "remote", LONG, LINES, BYTES],
    "ENGINE_OWN": ["yes", "2", LINES],
    "ENGINE_TOKEN": ["two words", "key\n", "clé", LINES],
    "DATA_DIR": [
        "{file}",
        "{file}/below",
        "{loop}",
        "{loop}/below",
        "{link}",
        "~nobody-of-this-name/x",
        LONG,
        "/proc/x",
    ],
    "THREADS": [*NO_NUMBERS, "0", "100000"],
    "SLOTS": [*NO_NUMBERS, "0", "17"],
    "CONTEXT_CELLS": [*NO_NUMBERS, "0", "1", "256", "1023", "99999999"],
    "CACHE_MB": [*NO_NUMBERS, "99999999999"],
    "COMPOSED": ["yes", "2", "true", LINES],
    "EMBEDDING_MODEL": ["{file}", "/no/such/folder", "a/b/c", "a b", "~nobody-of-this-name/x", LONG, LINES],
    "INDEX": ["{file}", "{loop}", "{link}", "~nobody-of-this-name/x", LONG],
    "UPSTREAM_INDEX": ["{file}", "{loop}", "{link}", "~nobody-of-this-name/x", LONG],
    "ASKS_PER_MINUTE": [*NO_NUMBERS, "99999999"],
    "WAIT_SECONDS": [*NO_NUMBERS, "0", "100000"],
    "GRADIO_ROOT_PATH": ["navigator", "/a b", "/a/../b", "ftp://host/x", "https://", "//host/x", "/a?b", LONG, LINES],
    "TRUST_PROXY": ["yes", "10.0.0.1/8", "10.0.0.0/8,", "1,2", LONG, LINES],
    "ALLOWED_HOSTS": ["https://page.example", "page.example:443", "a b", "page.example/x", "*", LONG, LINES, BYTES],
    "API_TOKEN": ["two words", "key\n", "clé", LINES],
    "METRICS": ["yes", "2", LINES],
    "LOG_FORMAT": ["xml", "JSON", LINES],
    "PASSAGES": [*NO_NUMBERS, "0", "1000"],
    "PASSAGE_CHARS": [*NO_NUMBERS, "1000000"],
    "ANSWER_TOKENS": [*NO_NUMBERS, "0", "4096"],
    "QUESTION_TOKENS": [*NO_NUMBERS, "0", "5000"],
    "TOOL_RESULT_CHARS": [*NO_NUMBERS, "0", "1000000"],
    "TOOL_ROUNDS": [*NO_NUMBERS, "0", "1000"],
    "ANSWER_SECONDS": [*NO_NUMBERS, "0", "1000000"],
    "ABSTAIN_BELOW": ["often", "-0.1", "1.5", "nan", "inf", LINES],
    "FEEDBACK_REPO": ["name", "a/b/c", "a b/c", LONG, LINES],
    "HF_TOKEN": ["two words", "key\n"],
    "REPOSITORY_URL": ["javascript:alert(1)", "github.com/a/b", "https://github.com", "https://a b/c", LONG, LINES],
}
ELSEWHERE = {"SPACE_ID", "ENGINE_URL"}  # the Hub's own; a server's address is judged by whoever reaches it
BESIDE = {"HF_TOKEN": {"FEEDBACK_REPO": "someone/feedback"}}  # what must be set for it to be read


def test_every_setting_is_in_the_table() -> None:
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', inspect.getsource(onboarding.settings)))
    assert read - ELSEWHERE == set(BAD)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_one_sentence_that_names_the_setting(tmp_path: Path, name: str, value: str) -> None:
    places = {"file": tmp_path / "file", "loop": tmp_path / "loop", "link": tmp_path / "link"}
    places["file"].write_text("not a folder")
    places["loop"].symlink_to(places["loop"])
    places["link"].symlink_to(tmp_path / "nowhere" / "below")
    value = re.sub(r"\{(\w+)\}", lambda found: str(places[found[1]]), value)
    with pytest.raises(SystemExit) as refused:
        Settings.from_env({"DATA_DIR": str(tmp_path / "data"), **BESIDE.get(name, {}), name: value})
    said = str(refused.value.code)
    assert name in said
    assert len(said) < 700
    assert said.isprintable()
    assert said.endswith(".")


@pytest.mark.parametrize("name", sorted(BAD))
def test_an_empty_value_is_the_default(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_env({name: ""}) == Settings.from_env({})


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "encoder").mkdir()
    env = {"DATA_DIR": "~/x", "INDEX": "~/index", "UPSTREAM_INDEX": "~/up", "EMBEDDING_MODEL": "~/encoder"}
    parts = Settings.from_env(env).parts
    found = (parts.data, parts.index, parts.upstream, parts.embedding)
    assert found == (tmp_path / "x", tmp_path / "index", tmp_path / "up", str(tmp_path / "encoder"))
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(
    ("env", "read"),
    [
        ({"HOST": "[::1]"}, "::1"),
        ({"HOST": "fe80::1%eth0"}, "fe80::1%eth0"),
        ({"HOST": "my-host.example"}, "my-host.example"),
        ({"GRADIO_ROOT_PATH": "/a/b/"}, "/a/b"),
        ({"GRADIO_ROOT_PATH": "/"}, ""),
        ({"GRADIO_ROOT_PATH": "https://example.org:8443/a"}, "https://example.org:8443/a"),
    ],
)
def test_a_value_is_read_in_its_usual_forms(tmp_path: Path, env: dict[str, str], read: str) -> None:
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), **env})
    assert read == (settings.host if "HOST" in env else settings.root_path)


def test_the_context_that_is_named_as_the_least_holds_an_answer(tmp_path: Path) -> None:
    for answer in ("320", "1000"):
        with pytest.raises(SystemExit, match="CONTEXT_CELLS=1 ") as refused:
            Settings.from_env({"DATA_DIR": str(tmp_path), "CONTEXT_CELLS": "1", "ANSWER_TOKENS": answer})
        least = re.search(r"at least (\d+)", str(refused.value.code))
        assert least is not None
        env = {"DATA_DIR": str(tmp_path), "CONTEXT_CELLS": least[1], "ANSWER_TOKENS": answer}
        assert Settings.from_env(env).parts.limits.cells > int(answer)


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:7860"), ("localhost", "http://localhost:7860"), ("::1", "http://[::1]:7860")],
)
def test_the_address_that_is_printed_can_be_opened(host: str, address: str) -> None:
    assert _address(host, 7860) == address


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "2001:db8::1", "x" * 64 + ".invalid"])
def test_a_host_that_is_not_this_machine_is_one_sentence(host: str) -> None:
    with pytest.raises(SystemExit, match=f"Port 7860 on {re.escape(host)} cannot be used .*HOST="):
        _bind(host, 7860)


def test_an_ipv6_address_is_served() -> None:
    with _bind("::1", 0) as listener:
        assert listener.getsockname()[0] == "::1"


@pytest.mark.parametrize("arguments", [["serve"], ["--port", "80"], ["--help"]])
def test_the_app_says_that_it_takes_no_arguments(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == (0 if arguments == ["--help"] else 2)
    assert "usage: python app.py" in said.out + said.err
