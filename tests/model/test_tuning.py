"""Training an adapter: rows are read as the engine reads them, packs train as rows do, and llama.cpp serves what peft has."""

from __future__ import annotations

import ctypes
import json
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gguf import GGUFReader
from pyarrow import parquet

from model.catalogue.choice import ModelFiles
from model.engine.llama import BatchRow, ContextOptions, Llama
from model.engine.prompt import Prompt
from model.engine.scripted import ScriptedEngine
from model.prompting.assemble import prompt_for, user_message
from model.prompting.conversation import Conversation, PastTurn
from model.tuning import command
from model.tuning.base import INTERLEAVED
from model.tuning.packs import Pack, batch, drawn, packs
from model.tuning.rows import IGNORED, EncodedRow, Row, RowEncoder, parts, read_split
from model.tuning.training import Trained
from model.turn.tool_calling import ToolMenu, menu_prompt
from rag.chunking.chunker import chunk
from rag.embedding.llama_runtime import c
from rag.errors import RowsUnreadable
from rag.reading.documents import read_corpus
from rag.types import Passage
from tests import tiny_llama
from tests.fakes import RHEL10, SERVICES
from tests.prompt_texts import TEXTS
from tools.registry import Registry

CORPUS = Path("rag") / "corpus"
NEAR = TEXTS.near.replace("$missing", "\u201cmtu\u201d, \u201ceth1\u201d")
SAID = "RHEL 8 is refused [1]. Upgrade to RHEL 9."
Engine = ScriptedEngine


@pytest.fixture(scope="module")
def base(smol: Path) -> Iterator[Llama]:
    """SmolLM2, for its vocabulary and template."""
    llama = Llama(smol, ContextOptions(cells=1024, sequences=2))
    yield llama
    llama.close()


@pytest.fixture
def engine(base: Llama) -> Engine:
    """An engine that renders as SmolLM2's does."""
    scripted = ScriptedEngine()
    scripted.chat_template, scripted.bos, scripted.eos = base.chat_template, base.bos, base.eos
    return scripted


def row_of(prompt: Prompt, answer: str = SAID, **more: Any) -> Row:
    messages = [{"role": role, "content": content} for role, content in (*prompt.messages, ("assistant", answer))]
    return {"messages": messages, **more}


def alone(engine: Engine) -> Prompt:
    parts = user_message("is RHEL 8 fine?\n\nI ask twice", RHEL10.passages[:1], cite=TEXTS.cite)
    return prompt_for(engine, Conversation.new(), TEXTS.brief, parts)


def among_others(engine: Engine) -> Prompt:
    parts = user_message("set the mtu of eth1", RHEL10.passages[:3], cite=TEXTS.cite, near=NEAR)
    return prompt_for(engine, Conversation.new(), TEXTS.brief, parts)


def after_a_check(engine: Engine) -> Prompt:
    told = '{"tool":"service_status","success":true}'
    parts = user_message("is libvirtd up?", told=told, checked=TEXTS.checked)
    return prompt_for(engine, Conversation.new(), TEXTS.brief, parts)


def second_turn(engine: Engine) -> Prompt:
    earlier = user_message("What does RHEL 10 need?", RHEL10.passages[:2], cite=TEXTS.cite)
    past = PastTurn("What does RHEL 10 need?", "An x86-64-v3 processor [1].", "rhel10", earlier)
    parts = user_message("and RHEL 9?", RHEL10.passages[1:3], cite=TEXTS.cite)
    return prompt_for(engine, Conversation("c").with_turn(past), TEXTS.brief, parts)


def choice_of_a_tool(engine: Engine) -> Prompt:
    menu = ToolMenu.of(TEXTS.menu, Registry.default().schemas())
    return menu_prompt(engine, menu, "is libvirtd up? Request: now", [SERVICES])


@pytest.mark.parametrize("asked", [alone, among_others, after_a_check, second_turn, choice_of_a_tool])
def test_a_row_is_trained_token_for_token_as_the_engine_renders_it(
    asked: Callable[[Engine], Prompt], engine: Engine, base: Llama
) -> None:
    prompt = asked(engine)
    rendered = prompt.encode(lambda text, control: base.tokenize(text, control=control), 4000).tokens
    example = RowEncoder(base, TEXTS).encode(row_of(prompt), 4000)
    assert example
    assert example.tokens[: len(rendered)] == rendered
    assert example.labels[: len(rendered)] == [IGNORED] * len(rendered)
    answer = example.tokens[len(rendered) :]
    assert example.labels[len(rendered) :] == answer
    assert base.is_end(answer[-1])
    text = b"".join(map(base.piece, answer[:-1])).decode()
    assert text == "RHEL 8 is refused. Upgrade to RHEL 9."  # the page numbers sentences, not the model


def test_messages_divide_where_the_engine_divides_them_for_every_passage_of_our_pages() -> None:
    units = [unit for document in read_corpus(CORPUS).documents for unit in chunk(document, lambda *_: "")]
    found = [Passage(u.id, u.text, u.title, u.headings, u.path, u.lines, u.url, 0.0, "") for u in units]
    assert len(found) > 500
    for pair in pairwise(found):
        given = user_message("how?", pair, cite=TEXTS.cite)
        divided = parts("".join(part.text for part in given), TEXTS)
        assert [part.text for part in divided] == [part.text for part in given]
        assert [part.passage for part in divided] == [part.passage for part in given]


def test_a_model_that_reads_one_passage_is_given_the_one_that_the_answer_cites(engine: Engine, base: Llama) -> None:
    three = among_others(engine)
    for cited in (1, 2, 3):
        row = row_of(three, citations=[{"passage": cited}])
        passages = [s.text for s in RowEncoder(base, TEXTS, 1).prompt(row).segments if s.passage]
        assert passages == [[s.text for s in three.segments if s.passage][cited - 1]]


def test_a_row_made_for_other_prompt_texts_is_refused(engine: Engine, base: Llama) -> None:
    row = row_of(alone(engine))
    row["messages"][1]["content"] = row["messages"][1]["content"].replace(TEXTS.cite, "Answer briefly.\n")
    with pytest.raises(RowsUnreadable, match="make the dataset anew"):
        RowEncoder(base, TEXTS).encode(row, 4000)
    assert RowEncoder(base, TEXTS).encode(row_of(alone(engine)), 40) is None  # too long for the window


def rows_about_one_passage(seed: int = 1) -> list[EncodedRow]:
    dice = np.random.default_rng(seed)
    shared = dice.integers(0, 255, 40).tolist()
    return [
        EncodedRow([*shared, *own], [IGNORED] * (40 + 4) + own[4:], 40)
        for length in (12, 20, 9)
        if (own := dice.integers(0, 255, length).tolist())
    ]


def test_packs_hold_every_row_once_and_fit() -> None:
    rows = rows_about_one_passage() + rows_about_one_passage(2)
    made = packs(rows, 75)
    assert all(len(pack.input_ids) <= 75 for pack in made)
    assert sum(pack.rows for pack in made) == len(rows)
    assert sum(len(pack.input_ids) for pack in made) < sum(len(row.tokens) for row in rows)
    assert sorted(told for pack in made for told in learnt(pack)) == sorted(
        told for row in rows for told in learnt(row)
    )
    assert sum(pack.rows for pack in drawn(made, 3)) in (3, 4)
    assert packs(rows, 75) == made


def learnt(given: Pack | EncodedRow) -> list[int]:
    return [label for label in given.labels if label != IGNORED]


# --- what follows needs what `make setup-full` installs


def loss(model: Any, given: dict[str, Any]) -> float:
    import torch

    labels = given.pop("labels")[0]
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(model(**given).logits[0, :-1], labels[1:], reduction="sum"))


def test_a_pack_trains_as_its_rows_alone_do(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from model.tuning.base import load_base

    model, _ = load_base(tiny_llama.write(tmp_path / "tiny.gguf"), torch.float32)
    rows = rows_about_one_passage()
    (pack,) = packs(rows, 200)
    single = [
        loss(model, {"input_ids": torch.tensor([row.tokens]), "labels": torch.tensor([row.labels])}) for row in rows
    ]
    assert loss(model, batch([asdict(pack)])) == pytest.approx(sum(single), rel=1e-4)


def served(llama: Llama, tokens: Sequence[int]) -> np.ndarray:
    """The logits behind each token, [tokens, vocabulary]."""
    llama.forget(0)
    assert llama.decode([BatchRow(token, at, 0, logits=True) for at, token in enumerate(tokens)]) == 0
    rows = [c.llama_get_logits_ith(llama._context, at) for at in range(len(tokens))]
    return np.stack([np.ctypeslib.as_array(row, (len(tiny_llama.BYTES) + 2,)).copy() for row in rows])


def put_on(llama: Llama, adapter: Path) -> None:
    loaded = c.llama_adapter_lora_init(llama._model, str(adapter).encode())
    assert loaded
    c.llama_set_adapters_lora(llama._context, (c.llama_adapter_lora_p_ctypes * 1)(loaded), 1, (ctypes.c_float * 1)(1))


@pytest.mark.parametrize("architecture", sorted(INTERLEAVED))
def test_llama_cpp_computes_what_the_trained_model_computes(architecture: str, tmp_path: Path) -> None:
    """Without an adapter and with one whose every matrix is random, so that a row in the wrong place shows."""
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    from model.tuning.adapter import write_adapter
    from model.tuning.base import PROJECTIONS, load_base

    path, tokens = tiny_llama.write(tmp_path / "tiny.gguf", architecture), [5, 77, 200, 31, 9, 256, 120, 44, 60]
    model, shapes = load_base(path, torch.float32)
    llama = Llama(path, ContextOptions(cells=512, sequences=2))
    try:
        with torch.no_grad():
            before = model(torch.tensor([tokens])).logits[0].numpy()
        assert np.abs(served(llama, tokens) - before).max() < 0.02
        torch.manual_seed(0)
        layers = peft.LoraConfig(r=4, lora_alpha=8, target_modules=list(PROJECTIONS), init_lora_weights=False)
        adapted = peft.get_peft_model(model, layers)
        adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
        with torch.no_grad():
            after = adapted(torch.tensor([tokens])).logits[0].numpy()
        gguf = tmp_path / "adapter.gguf"
        assert write_adapter(tmp_path / "adapter", shapes, gguf, "someone/tiny", "00") == 14
        put_on(llama, gguf)
        assert np.abs(after - before).max() > 1
        assert np.abs(served(llama, tokens) - after).max() < 0.02
    finally:
        llama.close()


def test_the_command_trains_and_writes_an_adapter_for_llama_cpp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real steps of peft and trl over three rows; the loss on rows of the same pages falls."""
    for name in ("torch", "peft", "trl", "datasets"):
        pytest.importorskip(name)
    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    base, out = tiny_llama.write(tmp_path / "tiny.gguf"), tmp_path / "out"
    rows = [
        row_of(prompt_for(tiny_engine(), Conversation.new(), "Be brief.", user_message(f"{n}?")), "abc " * 9)
        for n in range(3)
    ]
    data = dataset(tmp_path / "data", rows)
    arguments = ["--base", str(base), "--data", str(data), "--out", str(out), "--epochs", "8", "--learning-rate", "0.02",
                 "--packs", "1", "--rank", "4", "--name", "tiny-tuned", "--threads", "1"]  # fmt: skip
    report = command.main(arguments)
    found = re.search(r"held-out rows ([\d.]+) before, ([\d.]+) after", report)
    assert found
    before, after = map(float, found.groups())
    assert after < before - 0.5
    assert {path.name for path in (out / "adapter").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads((out / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    reader = GGUFReader(out / "tiny-tuned.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.type"] == "adapter"
    assert fields["adapter.type"] == "lora"
    assert fields["adapter.lora.alpha"] == 16
    assert fields["general.architecture"] == "llama"
    names = {tensor.name for tensor in reader.tensors}
    assert len(names) == 28
    assert {"blk.0.attn_q.weight.lora_a", "blk.1.ffn_down.weight.lora_b"} <= names
    assert "base_model: tiny" in (out / "README.md").read_text("utf-8")
    with pytest.raises(ValueError, match="a run with other choices"):
        command.main([*arguments, "--seed", "7"])
    llama = Llama(base, ContextOptions(cells=512, sequences=2))
    plain = served(llama, [5, 77, 200])
    put_on(llama, out / "tiny-tuned.gguf")
    assert np.abs(served(llama, [5, 77, 200]) - plain).max() > 0.1
    llama.close()


def no_network(*where: Any, **_more: Any) -> None:
    raise AssertionError(f"training asked the network: {where}")


def tiny_engine() -> Engine:
    engine = ScriptedEngine()
    engine.chat_template = tiny_llama.TEMPLATE
    return engine


def dataset(folder: Path, rows: Sequence[Row], **splits: Sequence[Row]) -> Path:
    (folder / "data").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        found = splits.get(split, rows)
        table = pa.Table.from_pylist(list(found)) if found else pa.table({"messages": pa.array([], pa.string())})
        parquet.write_table(table, folder / "data" / f"{split}.parquet")
    return folder


ROWS: list[Row] = [{"messages": [{"role": role, "content": "x"} for role in ("system", "user", "assistant")]}]


def test_a_dataset_that_cannot_be_trained_on_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RowsUnreadable, match="missing; name the folder"):
        read_split(tmp_path, "train")
    with pytest.raises(RowsUnreadable, match="has no rows"):
        read_split(dataset(tmp_path / "empty", ROWS, train=[]), "train")
    backwards = [{"messages": [*reversed(ROWS[0]["messages"])]}]
    with pytest.raises(RowsUnreadable, match=r"row 1 of .* has the roles"):
        read_split(dataset(tmp_path / "backwards", ROWS, train=backwards), "train")
    (tmp_path / "empty" / "data" / "test.parquet").write_text("{}")
    with pytest.raises(RowsUnreadable, match="no Parquet file"):
        read_split(tmp_path / "empty", "test")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--base", "no-such-model"], "is not known"),
        (["--base", "README.md"], "README.md"),
        (["--base", "TINY", "--kinds", "poem"], "no rows of these --kinds"),
        (["--base", "TINY", "--window", "1"], "raise --window"),
        (["--base", "OTHER"], "architecture internlm2"),
    ],
)
def test_the_command_ends_with_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "NEEDED", ())
    tiny = tiny_llama.write(tmp_path / "tiny.gguf")
    other = tiny_llama.write(tmp_path / "other.gguf", "internlm2")
    data = dataset(tmp_path / "data", ROWS)
    given = [{"TINY": str(tiny), "OTHER": str(other)}.get(word, word) for word in arguments]
    with pytest.raises((ValueError, RowsUnreadable), match=says):
        command.main([*given, "--data", str(data), "--out", str(tmp_path / "out")])


def test_without_the_training_libraries_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "NEEDED", ("numpy", "no_such_library"))
    with pytest.raises(ValueError, match="no_such_library, not installed here; run: make setup-full"):
        command.main(["--base", "x", "--data", str(tmp_path), "--out", str(tmp_path)])


def test_a_result_file_names_its_adapter_and_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is asked of tests.evals; here a stand-in says the figures."""
    asked: list[tuple[str, ...]] = []

    def evaluate(*arguments: str) -> str:
        asked.append(arguments)
        return json.dumps({"questions": 2, "facts_base": 0.1, "words": {"facts": "facts"}})

    monkeypatch.setattr(command, "_evaluate", evaluate)
    (tmp_path / "n.gguf").write_bytes(b"x")
    options = command._parser().parse_args(
        ["--base", "b", "--data", "d", "--out", str(tmp_path), "--questions", "q.jsonl", "--limit", "5"]
    )
    command._measured(options, ModelFiles(tmp_path / "n.gguf"), "n", 7, Trained(tmp_path, 1, 1.0, 2.0, 1.0))
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["model"], result["facts_base"], result["rows"]) == ("n.gguf", 0.1, 7)
    assert "--base b --window 1024" in result["made_with"]
    assert "--limit" in asked[0]
    assert [words[0] for words in asked] == ["answers", "answers", "variant", "variant"]
    assert asked[1][2] == f"b+{tmp_path / 'n.gguf'}"
