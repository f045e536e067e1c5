"""LoRA adapters: what they change, which are refused, whose states they use, and how MODEL= names them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from model.__main__ import _arguments, _engine, main
from model.catalogue import choice, entries, lock
from model.catalogue.adapters import Adapter, read_adapter
from model.catalogue.choice import ModelChoice, ModelFiles, chosen_model, model_files
from model.catalogue.entries import EMBEDDED, Entry, catalogue, digest
from model.catalogue.load import EngineLimits, open_engine
from model.engine.local import LocalEngine
from model.engine.protocol import ModelUnusable, Options
from onboarding.assistant import parts as parts_module
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.settings import Settings
from tests.given_model import given_model
from tests.lora import KEYS, PROJECTIONS, WIDTH, write_adapter
from tests.model.test_engine import finish, prompt

LIMITS = EngineLimits(cells=1024)
WRITTEN = Options(max_tokens=24)
Open = Callable[..., LocalEngine]


@pytest.fixture
def put_on(smol: Path, tmp_path: Path) -> Iterator[Open]:
    """Opens SmolLM2 with an adapter on it, or none, over one data folder; closes it after the test."""
    opened: list[LocalEngine] = []

    def open_one(adapter: Path | None, entry: Entry | None = None, limits: EngineLimits = LIMITS) -> LocalEngine:
        opened.append(open_engine(smol, tmp_path / "data", limits, entry, Adapter(adapter) if adapter else None))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.close()


def answer(engine: LocalEngine) -> tuple[tuple[int, ...], int]:
    """The tokens of an answer, and how many tokens were read for it."""
    _, last = finish(engine.submit(prompt("Is RHEL 8 accepted?"), WRITTEN))
    return last.tokens, last.counts.read


def test_an_adapter_changes_the_answer_and_one_of_zeros_changes_nothing(put_on: Open, tmp_path: Path) -> None:
    without_cache = replace(LIMITS, disk_bytes=0)
    plain, read = answer(put_on(None, limits=without_cache))
    zero = write_adapter(tmp_path / "zero.gguf", scale=0.0)
    assert answer(put_on(zero, limits=without_cache)) == (plain, read)
    changed = write_adapter(tmp_path / "changed.gguf", scale=1.0)
    tokens, read_too = answer(put_on(changed, limits=without_cache))
    assert tokens != plain
    assert read_too == read


def test_states_of_the_base_are_never_used_for_the_adapter_nor_those_of_another(put_on: Open, tmp_path: Path) -> None:
    one = write_adapter(tmp_path / "one.gguf", scale=1.0)
    other = write_adapter(tmp_path / "other.gguf", scale=1.0, seed=2)
    cold = {}
    for file in (None, one, other):
        engine = put_on(file)
        cold[file] = answer(engine)
        engine.close()
    assert len({read for _, read in cold.values()}) == 1, "each reads its prompt whole"
    folders = [path for path in (tmp_path / "data" / "prefix-cache").iterdir() if path.is_dir()]
    assert len(folders) == 3
    for file in (other, one, None):
        tokens, read = answer(put_on(file))
        # To the last bit only without an adapter: llama.cpp multiplies one row in another order than many.
        assert tokens == cold[None][0] if file is None else tokens != cold[None][0]
        assert read < cold[file][1] / 2, "its own states are there again"


def test_an_adapter_that_was_written_anew_under_its_name_does_not_find_the_old_ones_states(
    put_on: Open, tmp_path: Path
) -> None:
    file = write_adapter(tmp_path / "own.gguf", scale=1.0)
    engine = put_on(file)
    _, read = answer(engine)
    engine.close()
    file.unlink()
    assert answer(put_on(write_adapter(file, scale=1.0, seed=3)))[1] == read


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"base": "HuggingFaceTB/SmolLM2-135M"}, "was trained on HuggingFaceTB/SmolLM2-135M, and"),
        ({"architecture": "qwen2"}, "model arch and LoRA arch mismatch"),
        ({"projections": {"attn_q": (960, 960)}, "base": ""}, "'blk.0.attn_q.weight.*' has incorrect shape"),
        ({"blocks": 32, "base": ""}, "does not exist in base model"),
        ({"projections": {"attn_k_up": (WIDTH, KEYS)}, "base": ""}, "does not exist in base model"),
        ({"kind": "ia3"}, "expect adapter.type to be 'lora'"),
        ({"invocation": (1, 2)}, "is an activated LoRA"),
        ({"blocks": 0}, "holds no weights"),
        ({"scale": float("nan")}, r"is damaged \(blk\.0\.attn_q\.weight\.lora_b holds values that are no numbers"),
    ],
)
def test_an_adapter_that_is_not_of_this_model_is_refused_with_what_to_do(
    put_on: Open, tmp_path: Path, made: dict[str, object], said: str
) -> None:
    file = write_adapter(tmp_path / "x.gguf", **made)  # type: ignore[arg-type]
    with pytest.raises(ModelUnusable, match=said) as refused:
        put_on(file, catalogue()[EMBEDDED])
    assert "MODEL=" in str(refused.value)
    assert str(refused.value).startswith("x.gguf ")
    assert "\n" not in str(refused.value)


def test_a_copy_of_the_base_under_another_user_is_the_base(put_on: Open, tmp_path: Path) -> None:
    file = write_adapter(tmp_path / "x.gguf", base="someone/SmolLM2-135M-Instruct")
    assert answer(put_on(file, catalogue()[EMBEDDED]))[0]


def test_an_adapter_that_names_this_very_file_is_of_it_whatever_else_it_says(
    put_on: Open, smol: Path, tmp_path: Path
) -> None:
    file = write_adapter(tmp_path / "x.gguf", base="someone/renamed", base_sha256=digest(smol))
    put_on(file, catalogue()[EMBEDDED])
    write_adapter(tmp_path / "y.gguf", base="someone/renamed", base_sha256="0" * 64)
    with pytest.raises(ModelUnusable, match="was trained on someone/renamed"):
        put_on(tmp_path / "y.gguf", catalogue()[EMBEDDED])


def test_a_base_without_an_entry_is_known_by_what_its_own_header_says(
    smol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"general.source.huggingface.repository": "Other/Model"}
    monkeypatch.setattr("model.engine.llama.Llama.metadata", lambda _self, key: said.get(key, ""))
    monkeypatch.setattr("model.engine.llama.Llama._proven_rotation", lambda _self: None)
    file = Adapter(write_adapter(tmp_path / "x.gguf"))
    with pytest.raises(
        ModelUnusable, match=r"was trained on HuggingFaceTB/SmolLM2-135M-Instruct, and .* is Other/Model"
    ):
        open_engine(smol, tmp_path, replace(LIMITS, disk_bytes=0), adapter=file)


def test_a_model_is_no_adapter_and_an_adapter_no_model(smol: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="is a model and no adapter; give MODEL= its path alone"):
        open_engine(smol, tmp_path, LIMITS, adapter=Adapter(smol))
    file = write_adapter(tmp_path / "x.gguf")
    with pytest.raises(ModelUnusable, match=r"x\.gguf is an adapter and no model; .* MODEL=BASE\+x\.gguf"):
        open_engine(file, tmp_path, LIMITS)


def test_a_quantised_adapter_is_read_whole_too(tmp_path: Path) -> None:
    path = tmp_path / "q8.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    data = gguf.quants.quantize(np.ones((4, 64), np.float32), gguf.GGMLQuantizationType.Q8_0)
    data[0, :2] = np.frombuffer(np.float16("nan").tobytes(), np.uint8)  # the scale of a block
    writer.add_tensor("blk.0.attn_q.weight.lora_a", data, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelUnusable, match="no numbers"):
        read_adapter(path)


# --- MODEL= --------------------------------------------------------------------------------------------

TUNED = Entry(name="smol-tuned", label="Smol, tuned", file="tuned.gguf", license="Apache-2.0", base=EMBEDDED)


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The catalogue with an adapter in it, which ships with the app; its file."""
    known = catalogue() | {TUNED.name: TUNED}
    for module in (entries, choice, lock, parts_module):
        monkeypatch.setattr(module, "catalogue", lambda: known)
    monkeypatch.setattr("model.__main__.catalogue", lambda: known)
    monkeypatch.setattr("model.catalogue.download.ADAPTERS", tmp_path)
    return write_adapter(tmp_path / TUNED.file, scale=1.0)


def test_a_name_a_path_and_both_with_an_adapter_are_told_apart(tuned: Path) -> None:
    smol, home = catalogue()[EMBEDDED], Path.home()
    assert chosen_model(EMBEDDED) == ModelChoice(smol)
    assert chosen_model("./x.gguf") == ModelChoice(Path("x.gguf"))
    assert chosen_model(f"{EMBEDDED}+./x.gguf") == ModelChoice(smol, Path("x.gguf"))
    assert chosen_model(f"{EMBEDDED}+~/x") == ModelChoice(smol, home / "x")
    assert chosen_model("/m/a.gguf+/m/b.gguf") == ModelChoice(Path("/m/a.gguf"), Path("/m/b.gguf"))
    assert chosen_model("a.GGUF+b.gguf") == ModelChoice(Path("a.GGUF"), Path("b.gguf"))
    assert chosen_model("/c++/a.gguf") == ModelChoice(Path("/c++/a.gguf"))
    assert chosen_model("/c++/a.gguf+/d++/b") == ModelChoice(Path("/c++/a.gguf"), Path("/d++/b"))
    assert chosen_model("./a+b.gguf") == ModelChoice(Path("a+b.gguf"))
    assert chosen_model(TUNED.name) == chosen_model(f"{EMBEDDED}+{TUNED.name}") == ModelChoice(smol, TUNED)
    assert chosen_model(f"/q8.gguf+{TUNED.name}") == ModelChoice(Path("/q8.gguf"), TUNED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("granit", "MODEL=granit is not known; use auto, the path of a GGUF, or: "),
        ("granit+./x.gguf", r"MODEL=granit\+\./x\.gguf is not known"),
        (f"{EMBEDDED}+", "is not known"),
        (f"{EMBEDDED}+x", rf"x is no adapter for MODEL={EMBEDDED}\+; give the path of .*, or: .*{TUNED.name}\."),
        (f"{EMBEDDED}+granite-4.0-micro", "granite-4.0-micro is no adapter for"),
        (f"{TUNED.name}+./x.gguf", rf"has an adapter already; put yours on {EMBEDDED}: MODEL={EMBEDDED}\+\./x\.gguf"),
        (f"granite-4.0-micro+{TUNED.name}", f"is an adapter of {EMBEDDED}, not of granite-4.0-micro"),
        (f"{EMBEDDED}+~nobody-of-this-name/x", "names a home folder that is not here"),
        ("~nobody-of-this-name/x.gguf", "names a home folder that is not here"),
        (f"{EMBEDDED}+a\nforged: line", "is no adapter"),
    ],
)
def test_what_names_nothing_is_one_sentence_at_the_start(tuned: Path, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ModelUnusable, match=said) as refused:
        chosen_model(text)
    assert str(refused.value).isprintable()
    with pytest.raises(SystemExit, match=said):
        Settings.from_env({"DATA_DIR": str(tmp_path), "MODEL": text})


def test_the_page_shows_both_names_and_the_bytes_of_both(smol: Path, tuned: Path) -> None:
    known = catalogue()[EMBEDDED]
    size = known.bytes + tuned.stat().st_size
    own = ModelFiles(smol, known, Adapter(tuned)).info()
    assert (own.name, own.label, own.bytes, own.stand_in) == (f"{EMBEDDED}+tuned", f"{known.label} + tuned", size, True)
    named = ModelFiles(smol, known, Adapter(tuned, TUNED)).info()
    assert (named.name, named.label, named.bytes) == ("smol-tuned", "Smol, tuned", size)
    elsewhere = ModelFiles(smol, None, Adapter(tuned, TUNED)).info()
    assert (elsewhere.name, elsewhere.label) == (f"{smol.stem}+smol-tuned", f"{smol.stem} + smol-tuned")


def test_passages_are_laid_only_where_just_these_weights_were_measured_to_lose_nothing(tmp_path: Path) -> None:
    granite, file = catalogue()["granite-4.0-micro"], tmp_path / "x.gguf"
    assert ModelFiles(file, granite).composed
    assert not ModelFiles(file, granite, Adapter(file)).composed
    assert ModelFiles(file, granite, Adapter(file, replace(TUNED, composed=True))).composed


def load(tmp_path: Path, model: str) -> Parts:
    parts = Parts(PartsSettings(model=model, data=tmp_path / "data", limits=replace(LIMITS, disk_bytes=0)))
    parts._attempt("model", parts._load_first_model)
    return parts


@pytest.mark.parametrize("model", [f"{EMBEDDED}+{{}}", TUNED.name, "{smol}+{}"])
def test_model_with_an_adapter_answers(smol: Path, tuned: Path, tmp_path: Path, model: str) -> None:
    parts = load(tmp_path, model.format(tuned, smol=smol))
    try:
        assert parts.status["model"] == "ready", parts.status
        assert isinstance(parts.engine, LocalEngine)
        assert answer(parts.engine)[0]
        assert "tuned" in parts.engine.info.label
    finally:
        parts.close()


def test_an_engine_that_ended_comes_back_with_its_adapter(tuned: Path, tmp_path: Path) -> None:
    parts = load(tmp_path, TUNED.name)
    try:
        assert isinstance(parts.engine, LocalEngine)
        before = answer(parts.engine)[0]
        parts.engine.close()
        parts.watchdog.restart_ended()
        assert isinstance(parts.engine, LocalEngine)
        assert (parts.engine.info.name, parts.status["model"]) == (TUNED.name, "ready")
        assert answer(parts.engine)[0] == before
    finally:
        parts.close()


def test_an_adapter_that_rots_takes_the_model_out_of_service(tuned: Path, tmp_path: Path) -> None:
    parts = load(tmp_path, f"{EMBEDDED}+{tuned}")
    try:
        name = parts.engine.info.name if parts.engine else ""
        stat, data = tuned.stat(), bytearray(tuned.read_bytes())
        data[-1000] ^= 1
        tuned.write_bytes(data)
        os.utime(tuned, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        parts._prove(model_files(f"{EMBEDDED}+{tuned}", tmp_path), name)
        assert parts.engine is None
        assert "tuned.gguf is damaged on the disk" in parts.status["model"]
    finally:
        parts.close()


def test_a_wrong_adapter_by_name_is_said_and_where_the_choice_is_ours_the_base_answers(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned.unlink()
    write_adapter(tuned, base="Other/Model")
    parts = load(tmp_path, TUNED.name)
    assert parts.engine is None
    assert "was trained on Other/Model" in parts.status["model"]
    parts.close()
    monkeypatch.setattr(parts_module, "EMBEDDED", TUNED.name)
    parts = load(tmp_path, "auto")
    try:
        assert parts.engine and parts.engine.info.name == EMBEDDED
        assert "was trained on Other/Model" in parts.note
    finally:
        parts.close()


def test_memory_is_asked_for_the_adapter_too(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def shortage(_label: str, size: int) -> str:
        asked.append(size)
        return ""

    monkeypatch.setattr(parts_module, "shortage", shortage)
    load(tmp_path, TUNED.name).close()
    assert asked == [catalogue()[EMBEDDED].bytes + tuned.stat().st_size]


# --- python -m model -----------------------------------------------------------------------------------


def test_ls_names_the_base_and_fetch_brings_both(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ls", "--data", str(tmp_path)]) == 0
    rows = {line.partition(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert f"an adapter on {EMBEDDED}, not locked, {tuned}" in rows[TUNED.name]
    assert "98.4 MB" in rows[EMBEDDED]
    assert main(["fetch", TUNED.name, "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"Smol, tuned: {tuned}"
    assert said[0].startswith(catalogue()[EMBEDDED].label)


def test_a_shipped_adapter_that_is_missing_is_named(tuned: Path, tmp_path: Path) -> None:
    tuned.unlink()
    with pytest.raises(ModelUnusable, match=r"Smol, tuned ships as .*tuned\.gguf, which is missing"):
        model_files(TUNED.name, tmp_path)


def test_the_lock_measures_an_adapter_and_a_file_that_differs_is_refused(
    smol: Path, tuned: Path, tmp_path: Path
) -> None:
    written = tmp_path / "models.lock"
    assert f"{TUNED.name}: locked" in lock.lock([TUNED.name], tmp_path / "none", written)
    table = entries.read_lock(written)[TUNED.name]
    assert (table["sha256"], table["bytes"]) == (digest(tuned), tuned.stat().st_size)
    assert "template_sha256" not in table
    locked = replace(TUNED, sha256=table["sha256"], bytes=table["bytes"])
    other = write_adapter(tmp_path / "other.gguf", seed=9)
    with pytest.raises(ModelUnusable, match="is not the locked Smol, tuned"):
        open_engine(smol, tmp_path, LIMITS, adapter=Adapter(other, locked))


def test_the_commands_open_what_the_page_opens(tuned: Path, tmp_path: Path) -> None:
    words = ["warm", "--model", f"{EMBEDDED}+{tuned}", "--data", str(tmp_path / "data")]
    engine = _engine(_arguments(words), LIMITS)
    try:
        assert engine.info.name == f"{EMBEDDED}+tuned"
    finally:
        engine.close()


def test_evals_and_benchmarks_name_both_and_say_which_files(smol: Path, tuned: Path) -> None:
    given = given_model(f"{smol}+{tuned}")
    assert given.file_name == f"{smol.name}+{tuned.name}"
    assert given.digests() == {smol.name: digest(smol), tuned.name: digest(tuned)}
    assert set(PROJECTIONS) <= {"attn_q", "attn_k", "attn_v", "attn_output"}
