"""Complete and check a bill of materials (CycloneDX JSON).

    sbom.py IN.json OUT.json --requirements requirements.txt [--model FILE.gguf ...] [--embedding model.safetensors]

Every pinned requirement must be listed with its version; model and embedding weights, which no package scanner sees,
are added with their sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from command_line import ended
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Tree = dict[str, Any]
_CONTINUED = "\\"


class BillIncomplete(ValueError):
    """A bill lacks something that is shipped; the message names it."""


def pinned(requirements: str) -> dict[str, str]:
    """Name -> version of every `name==version` line. Raises BillIncomplete for a line that pins nothing."""
    pins: dict[str, str] = {}
    for line in requirements.splitlines():
        text = line.partition(" #")[0].strip().rstrip(_CONTINUED).strip()
        if not text or text.startswith(("#", "-")):  # comments, options and the hashes of a lock
            continue
        try:
            requirement = Requirement(text.partition(" --hash")[0])
        except InvalidRequirement as error:
            raise BillIncomplete(f"{text!r} is no requirement: {error}") from error
        exact = [spec.version for spec in requirement.specifier if spec.operator == "=="]
        if not exact:
            raise BillIncomplete(f"{requirement.name} is not pinned; write name==version")
        if requirement.marker is None or requirement.marker.evaluate():
            pins[canonicalize_name(requirement.name)] = exact[0]
    return pins


def missing(bill: Mapping[str, Any], pins: Mapping[str, str]) -> list[str]:
    """The pins that the bill does not list, as name==version; a local version such as 2.13.0+cpu counts."""
    listed = {(canonicalize_name(part.get("name", "")), _public(part.get("version"))) for part in _components(bill)}
    return [f"{name}=={version}" for name, version in pins.items() if (name, _public(version)) not in listed]


def _components(bill: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for part in bill.get("components") or ():
        yield part
        yield from _components(part)


def _public(version: str | None) -> str:
    try:
        return Version(version or "").public
    except InvalidVersion:
        return version or ""


def weights(path: Path, role: str) -> Tree:
    """A component for a file of weights, with its size in bytes and sha256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "type": "machine-learning-model",
        "bom-ref": f"weights:{path.name}@sha256:{digest}",
        "name": path.name,
        "version": f"sha256:{digest}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "properties": [
            {"name": "qubinode:role", "value": role},
            {"name": "qubinode:bytes", "value": str(path.stat().st_size)},
        ],
    }


def complete(bill: Tree, pins: Mapping[str, str], models: Sequence[Path], embeddings: Sequence[Path]) -> Tree:
    """The bill with the weights added. Raises BillIncomplete when a pin is missing or the bill is none."""
    if bill.get("bomFormat") != "CycloneDX" or not bill.get("components"):
        raise BillIncomplete("this is no CycloneDX bill with components; make it anew")
    if absent := missing(bill, pins):
        raise BillIncomplete(f"the bill lacks {', '.join(absent)}; make it from the environment that ships")
    added = [weights(path, "chat model") for path in models] + [weights(path, "embedding") for path in embeddings]
    kept = [part for part in bill["components"] if part.get("name") not in {one["name"] for one in added}]
    return {**bill, "components": [*kept, *added]}


def main(argv: Sequence[str]) -> int:
    """Complete a bill; 1 with one sentence when something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bill", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--requirements", type=Path, default=Path("requirements.txt"))
    parser.add_argument("--model", type=Path, nargs="*", default=[])
    parser.add_argument("--embedding", type=Path, nargs="*", default=[])
    options = parser.parse_args(argv)
    try:
        pins = pinned(options.requirements.read_text("utf-8"))
        bill = complete(json.loads(options.bill.read_text("utf-8")), pins, options.model, options.embedding)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    options.out.write_text(json.dumps(bill, indent=1) + "\n", "utf-8")
    print(f"{len(bill['components'])} components, {len(pins)} pins, all listed -> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
