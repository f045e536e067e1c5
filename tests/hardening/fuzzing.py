"""A coverage-guided fuzzer on everything that reads foreign bytes: `python -m tests.hardening.fuzzing TARGET ...`.

atheris (libFuzzer) ends the process at the first finding, so each target is a process of its own. A finding's bytes
lie in the folder; python -m tests.hardening.fuzzing TARGET FILE runs them again.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.hardening.verdict import Verdict

TARGETS = ("documents", "front-matter", "manifest", "cache-file", "tool-call", "redactor")
LONGEST_S = 10  # of one input; a pattern that backtracks shows itself here
MAX_BYTES = 8192
MEMORY_MB = 2000
DONE = re.compile(r"Done (\d+) runs|#(\d+)\s")


def fuzz(folder: Path, target: str, seconds: int) -> Verdict:
    """Fuzz one target for so long."""
    home = folder.resolve() / "fuzz" / target
    home.mkdir(parents=True, exist_ok=True)
    for old in home.glob("*-*"):
        old.unlink()
    command = [sys.executable, "-m", "tests.hardening.fuzzing", target, str(home), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds * 3 + 600)
    (home / "log.txt").write_text(done.stdout + done.stderr)
    runs = max((int(a or b) for a, b in DONE.findall(done.stderr)), default=0)
    found = sorted(path.name for path in home.glob("*-*"))
    what = re.findall(r"^ *(?:\w+\.)*\w*(?:Error|Exception|Iteration)\b.*", done.stdout + done.stderr, re.MULTILINE)
    said = (
        f"after {runs:,} inputs: {', '.join(found)} {what[-1:]}" if done.returncode else f"{runs:,} inputs, no finding"
    )
    ok = done.returncode == 0 and runs > 0
    figures = {"runs": runs, "findings": found, "exit": done.returncode, "seconds": seconds}
    return Verdict("fuzz", f"{target}, {seconds} s", "no finding", said, ok, figures)


def run(target: str, arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process. arguments: folder and seconds, or a file to run again."""
    import atheris  # a development package that exists for Linux on x86-64 only

    with atheris.instrument_imports(include=["model", "onboarding", "rag", "tools", "yaml", "json"]):
        from tests.hardening import parsers
    chosen = parsers.TARGETS[target]
    if len(arguments) == 1:
        chosen.check(Path(arguments[0]).read_bytes())
        return
    home, corpus = Path(arguments[0]), Path(arguments[0]) / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(chosen.seeds()):
        (corpus / f"seed{number}").write_bytes(seed)
    options = (f"-max_total_time={arguments[1]}", f"-timeout={LONGEST_S}", f"-max_len={MAX_BYTES}",
               f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={home}/", "-print_final_stats=1")  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], chosen.check)
    atheris.Fuzz()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
