"""Everything that the image has to show before it may be published, on one machine: `make image-check`.

    image_check.py [--build-option=... ...] [--syft syft] [--secretlint FOLDER] [--arm64=OPTION ...] [--keep FOLDER]

Builds for this machine's architecture, starts the image locked down, searches its files, writes its bill of materials,
pushes it to a registry on loopback, releases two versions and a pre-release there and rolls back. With --arm64 (options
of that build, such as where its llama.cpp comes from) it builds the other architecture under emulation, looks at that
too, and publishes an index over both. Uses docker where a daemon answers, else buildah, podman and runc; the registry
is docker-registry. Each line that it prints is something that was seen. Does not show: native speed of the emulated
architecture, nor its tools' sandbox, since the emulator has no system call filter (the result says so); a registry with
accounts; signatures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import image_files
import image_smoke
import sbom
from command_line import ended
from image_engine import Engine, EngineFailed, find_engine, output
from loopback_registry import serving
from registry import RegistryFailed, Skopeo, promote, roll_back, run
from tags import LATEST, TagRefused

IMAGE = "localhost/qubinode:check"
EMULATED = 16  # an emulated processor is that many times slower
EMULATOR_LACKS = {"tools": "the emulator has no system call filter"}  # and their sandbox may not start
MB = 1_000_000
LARGEST_MB = 900  # unpacked, without the chat model


class Check:
    """One run over one checkout; `folder` takes what is written."""

    def __init__(self, engine: Engine, folder: Path, ready_s: float) -> None:
        self._engine = engine
        self._folder = folder
        self._ready_s = ready_s
        self._since = time.monotonic()

    def say(self, text: str) -> None:
        """Print a step that is done, with its seconds."""
        now = time.monotonic()
        print(f"{now - self._since:7.1f} s  {text}", flush=True)
        self._since = now

    def build(self, image: str, arch: str, options: Sequence[str]) -> None:
        """Build the image from the checkout."""
        self._engine.build(image, Path(), [*([f"--platform=linux/{arch}"] if arch else []), *options])
        size, layers, checked = self._engine.facts(image)
        if not checked:
            raise EngineFailed(f"{image} has no HEALTHCHECK; build it in docker's format")
        self.say(f"built {image}: {size / MB:.0f} MB unpacked, {layers} layers, HEALTHCHECK kept")

    def smoke(self, image: str, slower: int = 1, without: Mapping[str, str] = image_smoke.NOTHING) -> None:
        """Start it locked down and look at it from inside; `without`: part that may fail -> why."""
        container = image_smoke.start(self._engine.run, image, self._engine.run_options)
        try:
            for line in image_smoke.check(container, self._ready_s * slower, without):
                self.say(line)
        finally:
            self._engine.remove(container.id)

    def files(self, image: str, secretlint: Path | None) -> None:
        """Search its files for credentials; take out the weights, and see how large the rest is."""
        command = [image, "--engine", " ".join(self._engine.run), "--weights", str(self._folder / "weights")]
        if image_files.main([*command, *([f"--secretlint={secretlint}"] if secretlint else [])]):
            raise EngineFailed("the search of the image's files failed")
        self.say("no credential in the image's files and settings")
        self.say(size_of(self._engine.facts(image)[0], (self._folder / "weights").glob("*.gguf")))

    def bill(self, image: str, syft: str) -> None:
        """List what it holds."""
        archive, raw = self._folder / "image.tar", self._folder / "sbom-raw.json"
        self._engine.save(image, archive)
        output([syft, "scan", "--quiet", "--output", f"cyclonedx-json={raw}", f"{self._engine.archive}:{archive}"])
        weights = self._folder / "weights"
        models, embeddings = [str(path) for path in weights.glob("*.gguf")], list(weights.glob("*.safetensors"))
        command = [str(raw), str(self._folder / "sbom.json"), "--requirements", "requirements.lock"]
        if sbom.main([*command, "--model", *models, "--embedding", *map(str, embeddings)]):
            raise EngineFailed("the bill of materials is incomplete")
        self.say(f"bill of materials: every locked package, {len(models)} model, {len(embeddings)} embedding")

    def second(self, image: str) -> str:
        """Another image, for a second release."""
        name = f"{image}-second"
        self._engine.derive(name, image, self._folder)
        return name

    def push(self, image: str, reference: str) -> None:
        """Push it; say how large it is on its way."""
        output(
            [
                "skopeo",
                "copy",
                "--quiet",
                "--dest-tls-verify=false",
                self._engine.storage + image,
                f"docker://{reference}",
            ]
        )
        manifest = json.loads(output(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]))
        sizes = [layer["size"] / MB for layer in manifest["layers"]]
        self.say(f"pushed {sum(sizes):.0f} MB in layers of {', '.join(f'{size:.0f}' for size in sizes)} MB")

    def release(self, registry: str, first: Sequence[str], second: Sequence[str]) -> None:
        """Publish two versions and a pre-release of what was pushed, then roll back."""
        skopeo, repository = Skopeo(run), f"{registry}/released/qubinode"
        for number, references in enumerate((first, second), 1):
            self._engine.index(f"{registry}/built:sha-{number}", references)
        old = promote(skopeo, f"{registry}/built:sha-1", repository, "1.2.3")
        self._table(skopeo, repository, "released 1.2.3", {"1.2.3": old, "1.2": old, "1": old, LATEST: old})
        new = promote(skopeo, f"{registry}/built:sha-2", repository, "1.2.4")
        moved = {"1.2.3": old, "1.2.4": new, "1.2": new, "1": new, LATEST: new}
        self._table(skopeo, repository, "released 1.2.4", moved)
        next_one = promote(skopeo, f"{registry}/built:sha-1", repository, "2.0.0-rc.1")
        self._table(skopeo, repository, "pre-release 2.0.0-rc.1", {**moved, "2.0.0-rc.1": next_one})
        roll_back(skopeo, repository, "1.2.3")
        self._table(skopeo, repository, "rolled back", {**moved, "2.0.0-rc.1": next_one, LATEST: old})

    def _table(self, skopeo: Skopeo, repository: str, what: str, expected: dict[str, str]) -> None:
        seen = {tag: skopeo.digest(f"{repository}:{tag}") for tag in skopeo.tags(repository)}
        if seen != expected:
            raise RegistryFailed(f"{what}: the tags are {seen} instead of {expected}")
        self.say(f"{what}: {', '.join(f'{tag} {digest[7:15]}' for tag, digest in expected.items())}")


def size_of(unpacked: int, models: Iterable[Path]) -> str:
    """The size in words. Raises EngineFailed when the image takes too much beside its chat models."""
    model = sum(path.stat().st_size for path in models)
    rest = (unpacked - model) / MB
    if rest > LARGEST_MB:
        raise EngineFailed(f"{rest:.0f} MB unpacked without a chat model; the limit is {LARGEST_MB} MB")
    return f"{unpacked / MB:.0f} MB unpacked, {rest:.0f} MB without the chat model"


def check(options: argparse.Namespace, folder: Path) -> None:
    """Run every step. Raises the step's own error."""
    one = Check(find_engine(), folder, options.ready)
    one.build(IMAGE, "", options.build_option)
    one.smoke(IMAGE)
    one.files(IMAGE, options.secretlint)
    one.bill(IMAGE, options.syft)
    images = {"first": IMAGE, "second": one.second(IMAGE)}
    if options.arm64:
        images["arm64"] = f"{IMAGE}-arm64"
        one.build(images["arm64"], "arm64", [*options.build_option, *options.arm64])
        one.smoke(images["arm64"], EMULATED, EMULATOR_LACKS)
    with serving(folder / "registry") as registry:
        for name, image in images.items():
            one.push(image, f"{registry}/built:{name}")
        other = [f"{registry}/built:arm64"] if options.arm64 else []
        one.release(registry, [f"{registry}/built:first", *other], [f"{registry}/built:second", *other])


def main(argv: Sequence[str]) -> int:
    """Check; 1 with one sentence when something falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-option", action="append", default=[], help="one more option of every build")
    parser.add_argument("--arm64", action="append", default=[], help="one more option of the build for arm64")
    parser.add_argument("--syft", default="syft")
    parser.add_argument("--secretlint", type=Path, metavar="FOLDER", help="where `make secretlint` installed it")
    parser.add_argument("--ready", type=float, default=image_smoke.READY_S)
    parser.add_argument("--keep", type=Path, help="folder for bill, weights and registry; otherwise they are removed")
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.keep or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            check(options, folder)
    except (EngineFailed, RegistryFailed, TagRefused, image_smoke.SmokeFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
    sys.exit(ended(main, sys.argv[1:]))
