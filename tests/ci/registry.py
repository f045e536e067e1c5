"""A registry on loopback (Debian's docker-registry), and small images in it: nested as buildx may write them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.loopback import free_port

CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""
MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"


@contextmanager
def serving(folder: Path, env: MutableMapping[str, str]) -> Iterator[str]:
    """The address of a registry; `env` gets a HOME in which skopeo may speak to it without TLS."""
    folder.mkdir(parents=True)
    address = f"127.0.0.1:{free_port()}"
    (folder / "config.yml").write_text(CONFIG.format(folder=folder / "data", address=address))
    conf = folder / "home/.config/containers/registries.conf"  # where skopeo looks; it reads no variable
    conf.parent.mkdir(parents=True)
    conf.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    env["HOME"] = str(folder / "home")
    process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://{address}/v2/")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(url: str) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _blob(layout: Path, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (layout / "blobs/sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def _tree(layout: Path, kind: str, **tree: Any) -> dict[str, Any]:
    return {**_blob(layout, json.dumps({"schemaVersion": 2, "mediaType": kind, **tree}).encode()), "mediaType": kind}


def _image(layout: Path, arch: str, text: str) -> dict[str, Any]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("hello")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    layer = {
        **_blob(layout, gzip.compress(buffer.getvalue(), mtime=0)),
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
    }
    whole = f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"
    config = {"architecture": arch, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [whole]}}
    about = {**_blob(layout, json.dumps(config).encode()), "mediaType": "application/vnd.oci.image.config.v1+json"}
    return {**_tree(layout, MANIFEST, config=about, layers=[layer]), "platform": {"architecture": arch, "os": "linux"}}


def _layout(layout: Path, top: dict[str, Any]) -> None:
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def nested(path: Path, arch: str) -> str:
    """Write an OCI archive as buildx does with its own attestations: an index in an index; return the image's digest."""
    layout = path.with_suffix(".layout")
    image = _image(layout, arch, "hello")
    empty = _tree(layout, MANIFEST, config={key: image[key] for key in ("digest", "size", "mediaType")}, layers=[])
    beside = {**empty, "platform": {"architecture": "unknown", "os": "unknown"},
              "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}}  # fmt: skip
    _layout(layout, _tree(layout, INDEX, manifests=[image, beside]))
    with tarfile.open(path, "w") as archive:
        for file in sorted(one for one in layout.rglob("*") if one.is_file()):
            archive.add(file, file.relative_to(layout).as_posix())
    return str(image["digest"])


def index(reference: str, layout: Path, env: MutableMapping[str, str], text: str = "hello") -> str:
    """Push an index over both architectures; return its digest."""
    top = _tree(layout, INDEX, manifests=[_image(layout, arch, text) for arch in ("amd64", "arm64")])
    _layout(layout, top)
    command = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests", f"oci:{layout}", f"docker://{reference}"]
    subprocess.run(command, env=dict(env), check=True, capture_output=True)
    return str(top["digest"])
