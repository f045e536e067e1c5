"""Complete and check a bill of materials (CycloneDX JSON).

    sbom.py IN.json OUT.json LOCK WEIGHTS...

Every pinned requirement must be listed with its version; weights, which no package scanner sees, are added with their
sha256. At least one file of weights is needed: an image without any cannot answer.
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
from packaging.version import Version

Tree = dict[str, Any]


class BillIncomplete(ValueError):
    """A bill lacks something that is shipped; the message names it."""


def pinned(requirements: str) -> dict[str, str]:
    """Name -> version of every `name==version` line. Raises BillIncomplete for a line that pins nothing."""
    pins: dict[str, str] = {}
    for line in requirements.splitlines():
        text = line.partition(" #")[0].partition("--hash")[0].strip().rstrip("\\").strip()
        if not text or text.startswith(("#", "-")):  # comments, options and the hashes of a lock
            continue
        try:
            requirement = Requirement(text)
            exact = next(spec.version for spec in requirement.specifier if spec.operator == "==")
        except (InvalidRequirement, StopIteration) as error:
            raise BillIncomplete(f"{text!r} pins nothing; write name==version") from error
        if requirement.marker is None or requirement.marker.evaluate():
            pins[canonicalize_name(requirement.name)] = exact
    return pins


def missing(bill: Mapping[str, Any], pins: Mapping[str, str]) -> list[str]:
    """The pins that the bill does not list, as name==version; a local version such as 2.13.0+cpu counts."""
    listed = {(canonicalize_name(part.get("name", "")), str(part.get("version"))) for part in _components(bill)}
    listed |= {(name, version.partition("+")[0]) for name, version in listed}
    wanted = {name: str(Version(version)) for name, version in pins.items()}
    return [f"{name}=={version}" for name, version in wanted.items() if (name, version) not in listed]


def _components(bill: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for part in bill.get("components") or ():
        yield part
        yield from _components(part)


def _weights(path: Path) -> Tree:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "type": "machine-learning-model", "bom-ref": f"weights:{path.name}@sha256:{digest}", "name": path.name,
        "version": f"sha256:{digest}", "hashes": [{"alg": "SHA-256", "content": digest}],
    }  # fmt: skip


def complete(bill: Tree, pins: Mapping[str, str], weights: Sequence[Path]) -> Tree:
    """The bill with the weights added. Raises BillIncomplete when a pin is missing or the bill is none."""
    if bill.get("bomFormat") != "CycloneDX" or not bill.get("components"):
        raise BillIncomplete("this is no CycloneDX bill with components; make it anew")
    if absent := missing(bill, pins):
        raise BillIncomplete(f"the bill lacks {', '.join(absent)}; make it from the image that ships")
    if not weights:
        raise BillIncomplete("no weights were found in the image; see WEIGHTS in .github/ci.mk")
    added = [_weights(path) for path in weights]
    kept = [part for part in bill["components"] if part.get("name") not in {one["name"] for one in added}]
    return {**bill, "components": [*kept, *added]}


def main(argv: Sequence[str]) -> int:
    """Complete a bill. Raises ValueError when something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in {"bill": None, "out": None, "lock": None, "weights": "*"}.items():
        parser.add_argument(name, type=Path, nargs=number)
    options = parser.parse_args(argv)
    pins = pinned(options.lock.read_text("utf-8"))
    bill = complete(json.loads(options.bill.read_text("utf-8")), pins, options.weights)
    options.out.write_text(json.dumps(bill, indent=1) + "\n", "utf-8")
    print(f"{len(bill['components'])} components, {len(pins)} pins, all listed -> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:], (ValueError,), failed=1))
