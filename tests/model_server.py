"""llama.cpp's own HTTP server over a GGUF, as a process that a test starts on loopback and stops: the real peer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.loopback import free_port

SERVER = """
import sys, xllamacpp
model, port, key = sys.argv[1], int(sys.argv[2]), sys.argv[3]
options = xllamacpp.CommonParams()
options.model.path, options.port, options.hostnames = model, port, ["127.0.0.1"]
options.n_ctx, options.n_parallel, options.use_jinja = 2 * 2048, 2, True
options.n_batch = options.n_ubatch = 64  # it looks for cancelled requests between batches
options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1  # two would spin at each barrier
if key:
    options.api_keys = [key]
server = xllamacpp.Server(options)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def llama_server(model: Path, *, key: str = "", port: int = 0) -> Iterator[str]:
    """The server's base URL; `key` is the API key it demands, `port` 0 a free one."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(model), str(port or free_port()), key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = next((line.strip() for line in process.stdout if line.startswith("http")), "")
        assert address, "the server said no address"
        yield address
    finally:
        process.kill()
        process.wait()
