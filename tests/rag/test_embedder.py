"""The default encoder runs in llama.cpp and gives the vectors that sentence-transformers gives."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from model.engine.llama import DECODED, BatchRow, ContextOptions, Llama
from rag.embedding.bert import Bert
from rag.embedding.embedder import DEFAULT_MODEL, Embedder, carried
from rag.errors import ModelMissing
from rag.reading.documents import read_corpus

ROOT = Path(__file__).parents[2]
ODD = [
    "", " ", "\n\n\t", "é", "Größe der Straße, naïve café ÀÉÎ", "İstanbul", "日本語のテキスト 漢字", "한국어 문장", "العربية",
    "🚀🔥 👩‍👩‍👧‍👦", "a" * 500, "zero\u00ad\u200bwidth \x00", "ﬁ Ａｂｃ", "[CLS] [SEP] [MASK]", "##ing ##s", "don't",
    "kvm_intel.nested=1 --flag=/etc/x.conf", "C++ C# .NET",
]  # fmt: skip
# What the image leaves out: NOT_IN_IMAGE of .github/ci.mk and what only that needs.
LEFT_OUT = ("torch", "transformers", "sentence_transformers", "sklearn", "scipy", "pyarrow", "joblib", "sympy")
WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({LEFT_OUT!r}))  # an import of them now fails as if they were not installed
import app, rag.cli
from onboarding.routing.routing import load_routing
from rag.embedding.embedder import Embedder
from rag.errors import ModelMissing
from tools.registry import Registry
routing = load_routing(Embedder())
reading = routing.reader.read("is libvirtd running on my host?")
print(routing.router.route(reading).name, len(Registry.default().schemas()))
try:
    Embedder("some/model")
except ModelMissing as error:
    print(error)
print(rag.cli.main(["publish", "--repo", "some/pages"]))
print(rag.cli.main(["train", "--upstream", "docs.tar", "--judged", "judged.jsonl"]))
try:
    import onboarding.routing.train
except ImportError as error:
    print(error)
"""

TRAINING = f"""
import sys
sys.modules.update(dict.fromkeys({LEFT_OUT!r}))
from rag.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture(scope="module")
def reference() -> Embedder:
    return Embedder(str(carried()))


@pytest.fixture(scope="module")
def pages() -> list[str]:
    documents = read_corpus(ROOT / "rag" / "corpus").documents
    return [part for document in documents for part in document.text.split("\n\n")[:6]]


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray((one * other).sum(axis=1))


def test_vectors_are_those_of_sentence_transformers(embedder: Embedder, reference: Embedder, pages: list[str]) -> None:
    texts = [*pages[:100], *ODD, "word " * 600]
    assert (embedder.digest, embedder.dimension) == (reference.digest, reference.dimension)
    assert cosines(embedder.encode(texts), reference.encode(texts)).min() > 0.9999
    assert [word for word in "qubinode kcli kvm running é 日 🚀 日本 a-b the".split() if embedder.is_word(word)] == [
        word for word in "qubinode kcli kvm running é 日 🚀 日本 a-b the".split() if reference.is_word(word)
    ]


def test_a_text_has_the_same_vector_alone_and_among_others_of_any_length(embedder: Embedder, pages: list[str]) -> None:
    texts = [*pages[:40], *ODD, "word " * 600]
    alone = np.vstack([embedder.encode([text]) for text in texts])
    assert cosines(embedder.encode(texts), alone).min() > 0.9999
    assert np.linalg.norm(alone, axis=1) == pytest.approx(1, abs=1e-5)
    assert alone.dtype == np.float32


def test_a_long_text_counts_with_its_first_256_tokens(embedder: Embedder) -> None:
    cut, whole, shorter = embedder.encode(["disk " * 254, "disk " * 254 + "banana " * 300, "disk " * 200 + "banana"])
    assert cut @ whole == pytest.approx(1, abs=1e-5)
    assert cut @ shorter < 0.999


def test_nothing_to_embed_is_no_vector(embedder: Embedder) -> None:
    assert embedder.encode([]).shape == (0, embedder.dimension)


def test_threads_share_an_embedder_beside_a_model_that_decodes(
    embedder: Embedder, smol: Path, pages: list[str]
) -> None:
    texts = pages[:24]
    llama = Llama(smol, ContextOptions(cells=256, sequences=2))
    expected = embedder.encode(texts)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(embedder.encode, [text]) for text in texts]
        decoded = [
            llama.decode([BatchRow(token, position, 0, True)]) for position, token in enumerate([1, 2, 3, 4, 5, 6])
        ]
        assert cosines(np.vstack([one.result() for one in found]), expected).min() > 0.9999
    assert set(decoded) == {DECODED}
    llama.close()


def test_another_kind_of_model_is_refused_with_its_name(tmp_path: Path) -> None:
    for file in ("tokenizer.json", "sentence_bert_config.json", "config.json"):
        (tmp_path / file).write_bytes((carried() / file).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "mpnet"}))
    with pytest.raises(ModelMissing, match="mpnet"):
        Bert(tmp_path, 1)


def test_the_default_is_found_by_its_long_name_too() -> None:
    assert Embedder(f"sentence-transformers/{DEFAULT_MODEL}").digest == Embedder().digest


def test_the_app_does_without_what_the_image_leaves_out() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "diagnostics 6"
    assert "run: make setup-full" in done.stdout.splitlines()[1]
    assert "EMBEDDINGS=1" in done.stdout.splitlines()[1]
    assert done.stdout.splitlines()[2] == "2"
    assert "pyarrow, which is not installed; run: make setup-full" in done.stderr
    assert done.stdout.splitlines()[3] == "2"
    assert "scikit-learn, scipy and torch, which are not installed; run: make setup-full" in done.stderr
    assert done.stdout.splitlines()[4:] == ["training needs scikit-learn, which is not installed; run: make setup-full"]
    assert "llama" not in done.stderr


@pytest.mark.parametrize("command", [["train", "--upstream", "docs.tar", "--judged", "judged.jsonl"], ["tune"]])
def test_training_without_its_packages_names_the_command_that_installs_them(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, *command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "training needs scikit-learn, scipy and torch, which are not installed; run: make setup-full\n"
    )
