"""Classifies a reading by a linear softmax in numpy, and keeps the weights in a file.

The file is a .npz of plain arrays (no pickle) beside a JSON manifest that says what it was trained on. Both are
checked at load, so that weights never meet features or embeddings they were not made for.
"""

import hashlib
import io
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onboarding.routing.features import FEATURES_VERSION, Features, slots
from onboarding.routing.language.lexicon import LEXICON
from onboarding.routing.reading import Reading
from rag.index.store import Encoder

ARTEFACT = Path(__file__).with_name("artefact")
FORMAT = 1
TRAIN = "python -m onboarding.routing.train"


class ArtefactStale(RuntimeError):
    """A stored classifier is missing, damaged or was trained for other features; the message names the command."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """Weights of a softmax over `labels`, for one encoder."""

    labels: tuple[str, ...]
    weights: np.ndarray  # float32 (slots(dimension), labels)
    bias: np.ndarray  # float32 (labels,)
    temperature: float  # divides the scores, so that a confidence of 0.8 is right four times in five

    def probabilities(self, reading: Reading) -> dict[str, float]:
        """Return the calibrated probability of each label, joint reading included; they add up to one."""
        alone = self._alone(reading.features)
        joint = reading.joint
        if joint is None or not reading.share:
            return alone
        together = self._alone(joint.features)
        return {label: (1 - reading.share) * alone[label] + reading.share * together[label] for label in alone}

    def _alone(self, features: Features) -> dict[str, float]:
        scores = (features.values @ self.weights[features.columns] + self.bias) / self.temperature
        powers = np.exp(scores - scores.max())
        return dict(zip(self.labels, (powers / powers.sum()).tolist(), strict=True))


def save(classifier: Classifier, name: str, encoder: Encoder, folder: Path = ARTEFACT) -> Path:
    """Write a classifier and its manifest, which names the encoder it was trained with. Returns the .npz."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weights=classifier.weights.astype(np.float16), bias=classifier.bias)
    path = folder / f"{name}.npz"
    path.write_bytes(buffer.getvalue())
    manifest = {
        **_expected(encoder),
        "labels": list(classifier.labels),
        "temperature": round(classifier.temperature, 4),
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path


def load(name: str, encoder: Encoder, folder: Path = ARTEFACT) -> Classifier:
    """Read a classifier trained with `encoder`. Raises ArtefactStale when anything does not fit."""
    path = folder / f"{name}.npz"
    remedy = (
        TRAIN if folder == ARTEFACT else f"{TRAIN} --model {shlex.quote(encoder.name)} --out {shlex.quote(str(folder))}"
    )
    try:
        if not (path.is_file() and path.with_suffix(".json").is_file()):  # a pipe or a device would never end
            raise FileNotFoundError("it or its description is missing")
        manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        content = path.read_bytes()
        if not isinstance(manifest, dict):
            raise TypeError("its description is no JSON object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ArtefactStale(f"{path} cannot be read ({error}); run: {remedy}") from error
    for key, value in {**_expected(encoder), "sha256": hashlib.sha256(content).hexdigest()}.items():
        if manifest.get(key) != value:
            raise ArtefactStale(f"{path} has {key} {manifest.get(key)!r}, needed is {value!r}; run: {remedy}")
    arrays = np.load(io.BytesIO(content), allow_pickle=False)
    weights = arrays["weights"].astype(np.float32)
    labels = tuple(manifest["labels"])
    if weights.shape != (slots(encoder.dimension), len(labels)):
        raise ArtefactStale(f"{path} holds weights of shape {weights.shape}; run: {remedy}")
    return Classifier(labels, weights, arrays["bias"].astype(np.float32), float(manifest["temperature"]))


def _expected(encoder: Encoder) -> dict[str, object]:
    """Return what must be equal between training and use."""
    lexicon = hashlib.sha256(LEXICON.read_bytes()).hexdigest()
    return {"format": FORMAT, "features": FEATURES_VERSION, "embedding": encoder.digest, "lexicon": lexicon}
