"""A container registry on loopback for as long as a check needs it; Debian's package docker-registry."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry import RegistryFailed

CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""
START_S = 20.0


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a registry that keeps its data in `folder`. Raises RegistryFailed when it does not start."""
    address = f"127.0.0.1:{_free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(CONFIG.format(folder=folder.resolve() / "data", address=address), "utf-8")
    try:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stderr=subprocess.DEVNULL)
    except OSError as error:
        raise RegistryFailed(f"docker-registry cannot be run ({error}); install the package of that name") from error
    try:
        _wait(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=START_S)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{address}/v2/", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RegistryFailed(f"docker-registry did not answer on {address} within {START_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
