"""Publishing models: cards that claim nothing unproven, versions given once, and the lock behind the catalogue."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter, LlamaFileType
from huggingface_hub import HfApi, ModelCard

from model.catalogue.entries import EMBEDDED, LOCK, HubUnreachable, catalogue, read_lock
from model.catalogue.load import EngineLimits, open_engine
from model.catalogue.lock import lock
from model.engine.protocol import ModelUnusable
from model.publishing.card import FOLDER, CardIncomplete, Evaluation, TrainingData, Variant, variants
from model.publishing.repository import main, send, write
from rag.errors import SecretFound
from rag.publishing.folder import check_folder
from rag.publishing.hub import PublishRefused
from rag.search.question_map import QUESTION_MAP_FILE, QuestionMap, save_question_map
from tests.hub_stand_in import TOKEN, Hub, Repository, serve

RESULTS = FOLDER / "results"
VARIANT = Variant(
    "tiny-q4", "quantisation", "1.2.0", "Tiny", "someone/tiny", "apache-2.0", ("en",), "For tests.", ("It is tiny.",)
)
SPEED = Evaluation("Speed", "speed.json", {"decode_tokens_per_s": "decode, tokens/s"})


def gguf(path: Path, adapter: bool = False) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_type("adapter" if adapter else "model")
    writer.add_file_type(LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_context_length(4096)
    writer.add_chat_template("{{ messages }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return gguf(tmp_path / "tiny-q4.gguf")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


def result(folder: Path, **figures: Any) -> Path:
    (folder / "speed.json").write_text(json.dumps({"model": "tiny-q4.gguf", **figures}))
    return folder


def test_the_folder_holds_weights_checksum_and_card(file: Path, tmp_path: Path) -> None:
    out = write(VARIANT, file, tmp_path / "out", tmp_path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (out / "tiny-q4.gguf").read_bytes() == file.read_bytes()
    assert (out / "SHA256SUMS").read_text() == f"{digest}  tiny-q4.gguf\n"
    card = ModelCard.load(out / "README.md")
    assert (card.data.license, card.data.base_model, card.data.language) == ("apache-2.0", "someone/tiny", ["en"])
    assert card.data.to_dict()["base_model_relation"] == "quantized"
    for said in (digest, "Q4_K_M", "4096 tokens", "It is tiny.", "tag `v1.2.0`", "Not measured yet.",
                 hashlib.sha256(b"{{ messages }}").hexdigest(), "llama-server --model tiny-q4.gguf"):  # fmt: skip
        assert said in card.text
    assert "$" not in card.content


def test_a_figure_comes_from_its_result_file(file: Path, tmp_path: Path) -> None:
    results = result(tmp_path, decode_tokens_per_s=7.25)
    out = write(replace(VARIANT, evaluations=(SPEED,)), file, tmp_path / "out", results)
    assert "| decode, tokens/s | 7.25 |" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        (None, "cannot be read"),
        ({}, "holds no figure decode_tokens_per_s"),
        ({"decode_tokens_per_s": "fast"}, "holds no figure"),
        ({"decode_tokens_per_s": 7, "model": "other.gguf"}, "was measured with other.gguf"),
    ],
)
def test_a_figure_that_no_result_bears_out_stops_it(
    file: Path, tmp_path: Path, figures: dict[str, Any] | None, why: str
) -> None:
    if figures is not None:
        result(tmp_path, **figures)
    with pytest.raises(CardIncomplete, match=why):
        write(replace(VARIANT, evaluations=(SPEED,)), file, tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_adapter_says_how_it_is_loaded_and_is_not_taken_for_a_model(tmp_path: Path) -> None:
    adapter = gguf(tmp_path / "lora.gguf", adapter=True)
    with pytest.raises(CardIncomplete, match="adapter"):
        write(VARIANT, adapter, tmp_path / "out", tmp_path)
    out = write(replace(VARIANT, kind="adapter"), adapter, tmp_path / "out", tmp_path)
    assert "llama-server --model BASE.gguf --lora lora.gguf" in (out / "README.md").read_text()
    assert "base_model_relation: adapter" in (out / "README.md").read_text()


def peft(folder: Path) -> None:
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text('{"r": 8, "base_model_name_or_path": "/home/x/base"}')
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"\0tensors")


def test_an_adapters_card_names_base_memory_three_ways_to_load_it_and_its_rows(tmp_path: Path) -> None:
    adapter, smol = gguf(tmp_path / "lora.gguf", adapter=True), catalogue()[EMBEDDED]
    peft(tmp_path)
    (tmp_path / "rows.json").write_text('{"rows": 3000, "test": 200, "made_with": "python -m model tune"}')
    rows = TrainingData("someone/rows", "By page: no test page is trained on.", "rows.json",
                        {"rows": "rows trained on", "test": "rows held out"})  # fmt: skip
    variant = replace(VARIANT, kind="adapter", base_model=smol.base_model, training=rows)
    out = write(variant, adapter, tmp_path / "out", tmp_path)
    card = ModelCard.load(out / "README.md")
    needs = (smol.bytes + adapter.stat().st_size) * 1.5 / 1e6
    for said in (f"About {needs:,.0f} MB for {smol.label} and the adapter", "MODEL=smollm2-135m+./lora.gguf make run",
                 f"llama-server --model {smol.file} --lora lora.gguf", "PeftModel.from_pretrained", smol.base_model,
                 "By page: no test page is trained on.", "| rows trained on | 3000 |", "| rows held out | 200 |"):  # fmt: skip
        assert said in card.text
    assert card.data.to_dict()["datasets"] == ["someone/rows"]
    config = json.loads((out / "adapter_config.json").read_text())
    assert config == {"r": 8, "base_model_name_or_path": smol.base_model}
    sums = (out / "SHA256SUMS").read_text().splitlines()
    assert [line.split()[1] for line in sums] == ["lora.gguf", "adapter_config.json", "adapter_model.safetensors"]
    check_folder("model", out)


def test_an_adapter_without_what_peft_keeps_says_so(tmp_path: Path) -> None:
    adapter = gguf(tmp_path / "lora.gguf", adapter=True)
    out = write(replace(VARIANT, kind="adapter"), adapter, tmp_path / "out", tmp_path)
    text = (out / "README.md").read_text()
    assert "not as peft keeps an adapter" in text
    assert "PeftModel" not in text


def test_speed_is_a_row_for_each_machine_that_a_result_names(file: Path, tmp_path: Path) -> None:
    for name, machine in (("a", "two old cores"), ("b", "a new board")):
        figures = {"model": file.name, "machine": machine, "decode_tokens_per_s": 7.25, "rss_mb": 400}
        (tmp_path / f"{name}.json").write_text(json.dumps(figures))
    out = write(replace(VARIANT, speed=("a.json", "b.json")), file, tmp_path / "out", tmp_path)
    text = (out / "README.md").read_text()
    assert "| two old cores |  | 7.25 |  | 400 |" in text
    assert "| a new board |" in text
    assert "From `b.json`" in text
    (tmp_path / "b.json").write_text(json.dumps({"model": file.name}))
    with pytest.raises(CardIncomplete, match=r"b\.json does not say on which machine"):
        write(replace(VARIANT, speed=("b.json",)), file, tmp_path / "out", tmp_path)


def test_what_nobody_measured_is_said_and_languages_are_judged_or_not(file: Path, tmp_path: Path) -> None:
    variant = replace(
        VARIANT, languages=("en", "de"), judged_in=("en",), missing=("Speed: run the nightly.",), refuses=("No.",)
    )
    text = (write(variant, file, tmp_path / "out", tmp_path) / "README.md").read_text()
    for said in ("Made for English, German. It was judged on questions in English. In German it has not been judged here.",
                 "It was measured on no machine yet.", "### Not measured\n\n- Speed: run the nightly.", "- No."):  # fmt: skip
        assert said in text
    with pytest.raises(CardIncomplete, match="was judged in fr"):
        write(replace(VARIANT, judged_in=("fr",)), file, tmp_path / "out", tmp_path)


def test_a_result_says_on_which_questions_and_is_of_these_very_weights(file: Path, tmp_path: Path) -> None:
    own = hashlib.sha256(file.read_bytes()).hexdigest()
    counted = {"question_files": {"own.jsonl": 47, "other.jsonl": 3}, "decode_tokens_per_s": 1}
    results = result(tmp_path, sha256={"tiny-q4.gguf": own}, **counted)
    text = (write(replace(VARIANT, evaluations=(SPEED,)), file, tmp_path / "out", results) / "README.md").read_text()
    assert "On 47 questions of `own.jsonl`, 3 questions of `other.jsonl`." in text
    assert "`speed.json`, sha256" in text
    results = result(tmp_path, sha256={"tiny-q4.gguf": "0" * 64}, **counted)
    with pytest.raises(CardIncomplete, match="was measured with"):
        write(replace(VARIANT, evaluations=(SPEED,)), file, tmp_path / "out", results)


def test_without_the_weights_a_card_is_written_from_the_lock_and_nothing_is_fetched(tmp_path: Path) -> None:
    granite = catalogue()["granite-4.0-micro"]
    variant = variants()["granite-4.0-micro-q4_k_m"]
    out = write(variant, None, tmp_path / "out", RESULTS)
    assert [path.name for path in out.iterdir()] == ["README.md"]
    text = (out / "README.md").read_text()
    assert granite.sha256 in text
    assert f"{granite.bytes:,} bytes" in text
    assert "make nightly-answers" in text
    with pytest.raises(CardIncomplete, match="neither here nor locked"):
        write(replace(variant, catalogue="granite-4.0-1b"), None, tmp_path / "out", RESULTS)
    with pytest.raises(CardIncomplete, match="not in the catalogue"):
        write(VARIANT, None, tmp_path / "out", RESULTS)


def test_the_question_map_is_published_with_figures_of_this_very_map(tmp_path: Path) -> None:
    variant = next(one for one in variants().values() if one.kind == "question map")
    out = write(variant, QUESTION_MAP_FILE, tmp_path / "out", RESULTS)
    card = ModelCard.load(out / "README.md")
    assert card.data.to_dict()["pipeline_tag"] == "sentence-similarity"
    assert "questions of `own_fresh.jsonl`" in card.text
    assert "question_map.npz" in card.text
    check_folder("model", out)
    other = tmp_path / "question_map.npz"
    save_question_map(QuestionMap(np.zeros((4, 4)), np.zeros(4)), "another encoder", other)
    with pytest.raises(CardIncomplete, match="of another encoder"):
        write(variant, other, tmp_path / "out", RESULTS)
    other.write_bytes(b"PK")
    with pytest.raises(CardIncomplete, match="no question map that can be read"):
        write(variant, other, tmp_path / "out", RESULTS)


def test_all_variants_are_written_together_and_none_is_sent_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.publishing.hub.preview", lambda target, _folder: f"{target.kind} {target.repo}")
    said = main(["--repo", "someone", "--folder", str(tmp_path)])
    assert [f"model someone/{name}" in said for name in variants()] == [True] * len(variants())
    with pytest.raises(CardIncomplete, match="--variant"):
        main(["--repo", "someone", "--send"])


def test_a_card_with_personal_data_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(SecretFound, match=r"README\.md"):
        write(replace(VARIANT, limits=("Ask jane.doe@corp.io.",)), file, tmp_path / "out", tmp_path)


def test_a_file_that_is_not_the_locked_one_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="bytes instead of"):
        write(replace(VARIANT, catalogue=EMBEDDED), file, tmp_path / "out", tmp_path)


def test_a_version_is_sent_tagged_and_never_changed(hub: Hub, file: Path, tmp_path: Path) -> None:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    out = write(VARIANT, file, tmp_path / "out", tmp_path)
    assert "+ tiny-q4.gguf" in send(api, VARIANT, "someone/tiny-GGUF", out, pause_s=0)
    stored = hub.repositories["models/someone/tiny-GGUF"]
    assert stored.files["tiny-q4.gguf"] == file.read_bytes()
    assert list(stored.tags) == ["v1.2.0"]
    commits = len(stored.commits)
    send(api, VARIANT, "someone/tiny-GGUF", out, pause_s=0)
    assert len(stored.commits) == commits
    changed = replace(VARIANT, limits=("It is tiny, and old.",))
    out = write(changed, file, tmp_path / "out", tmp_path)
    with pytest.raises(PublishRefused, match="raise the version"):
        send(api, changed, "someone/tiny-GGUF", out, pause_s=0)
    assert len(stored.commits) == commits
    send(api, replace(changed, version="1.3.0"), "someone/tiny-GGUF", out, pause_s=0)
    assert list(stored.tags) == ["v1.2.0", "v1.3.0"]


def test_the_command_writes_the_embedded_models_repository_and_shows_what_differs(
    hub: Hub, smol: Path, tmp_path: Path
) -> None:
    words = ["--variant", "smollm2-135m-q4_1", "--file", str(smol), "--repo", "someone/smol"]
    command = [sys.executable, "-m", "model", "publish", *words, "--folder", str(tmp_path)]
    # A process of its own: where the Hub is is read when the client's library is imported.
    done = subprocess.run(command, env={**os.environ, "HF_ENDPOINT": hub.url}, cwd=Path(__file__).parents[2],
                          capture_output=True, text=True, timeout=150, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "+ SHA256SUMS" in done.stdout.splitlines()
    assert "3 to change, 0 unchanged" in done.stdout
    assert {request.partition(" ")[0] for request in hub.seen} == {"GET"}
    card = (tmp_path / "smollm2-135m-q4_1" / "README.md").read_text()
    assert catalogue()[EMBEDDED].sha256 in card
    assert "| quantisation | Q4_1 |" in card


def test_a_variant_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CardIncomplete, match="tiny is not in variants"):
        main(["--variant", "tiny", "--file", "x.gguf", "--repo", "a/b"])


def test_every_variants_figures_are_in_committed_results_of_its_file() -> None:
    for variant in variants().values():
        for name in variant.speed:
            assert json.loads((RESULTS / name).read_text())["machine"]
        assert variant.evaluations or variant.missing, "a card without figures says which are missing"
        for evaluation in variant.evaluations:
            figures = json.loads((RESULTS / evaluation.file).read_text())
            assert figures["model"] == catalogue()[variant.catalogue].file if variant.catalogue else "question_map.npz"
            assert set(evaluation.figures) <= figures.keys()


def test_a_variant_outside_the_catalogue_needs_its_file_named(tmp_path: Path) -> None:
    text = (FOLDER / "variants.toml").read_text()
    (tmp_path / "v.toml").write_text(text.replace('catalogue = "granite-4.0-micro"\n', ""))
    arguments = ["--variant", "granite-4.0-micro-q4_k_m", "--repo", "a/b", "--variants", str(tmp_path / "v.toml")]
    with pytest.raises(CardIncomplete, match="--file"):
        main(arguments)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [('kind = "quantisation"', 'kind = "copy"', "a kind of"), ('license = "apache-2.0"\n', "", "incomplete")],
)
def test_a_variant_that_lacks_something_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    text = (FOLDER / "variants.toml").read_text()
    (tmp_path / "v.toml").write_text(text.replace(old, new))
    with pytest.raises(CardIncomplete, match=why):
        variants(tmp_path / "v.toml")


def test_the_lock_has_every_entry_of_the_catalogue() -> None:
    assert read_lock(LOCK).keys() == catalogue().keys()
    locked = {name for name, entry in catalogue().items() if entry.locked}
    assert locked >= {"granite-4.0-micro", "smollm2-135m"}


def test_locking_measures_the_file_and_changes_nothing_when_it_is_the_locked_one(smol: Path, tmp_path: Path) -> None:
    path = tmp_path / "models.lock"
    assert "smollm2-135m: locked" in lock(["smollm2-135m"], smol.parent, path)
    assert path.read_text() == LOCK.read_text()


def test_locking_a_file_that_differs_from_the_lock_is_refused(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copyfile(file, folder / catalogue()[EMBEDDED].file)
    with pytest.raises(ModelUnusable, match="is not the locked file"):
        lock([EMBEDDED], folder, tmp_path / "models.lock")
    assert not (tmp_path / "models.lock").exists()


def test_locking_asks_the_hub_where_there_is_no_file(hub: Hub, tmp_path: Path) -> None:
    name = "granite-4.0-350m"
    entry = catalogue()[name]
    hub.repositories[f"models/{entry.repository}"] = Repository([{entry.file: b"GGUF"}])
    path = tmp_path / "models.lock"
    lock([name], tmp_path, path, hub.url)
    table = read_lock(path)[name]
    assert (table["revision"], table["bytes"]) == ("c" * 40, 4)
    assert table["sha256"] == hashlib.sha256(b"GGUF").hexdigest()
    with pytest.raises(HubUnreachable, match="check the network"):
        lock([name], tmp_path, path, "http://127.0.0.1:9")


def test_an_unknown_entry_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="not in the catalogue"):
        lock(["tiny"], tmp_path, tmp_path / "models.lock")


def test_an_entry_that_is_not_locked_says_so_and_a_foreign_template_is_refused(
    smol: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = replace(catalogue()[EMBEDDED], sha256="", template_sha256="0" * 64)
    with caplog.at_level(logging.WARNING), pytest.raises(ModelUnusable, match="template"):
        open_engine(smol, tmp_path, EngineLimits(disk_bytes=0), entry)
    assert "is not locked" in caplog.text
