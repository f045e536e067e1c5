"""python -m tests.hardening join | queue | flood | responsive | memory [--folder .data/harden]
python -m tests.hardening soak [--minutes 20]
python -m tests.hardening fuzz [--seconds 120] [--target NAME]
python -m tests.hardening garak | agentdojo [--home .data/garak] [--stand-in FILE] [--cap 6]
python -m tests.hardening all [--minutes 20] [--seconds 120] --report FILE

Each starts what it needs on loopback, prints its figures as JSON and its row of the report, and ends with 1 when the
row does not hold. Nothing else should run beside those that measure time.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.hardening import attacks, dojo, endurance, fuzzing, load, memory
from tests.hardening.verdict import HEAD, Verdict

Options = argparse.Namespace
COMMANDS: dict[str, Callable[[Options], Iterable[Verdict]]] = {
    "join": lambda options: [load.join(options.folder)],
    "queue": lambda options: [load.queue(options.folder)],
    "flood": lambda options: [load.flood(options.folder)],
    "responsive": lambda options: [endurance.responsive(options.folder)],
    "memory": lambda options: [memory.memory(options.folder)],
    "garak": lambda options: [
        attacks.markup(options.folder, options.home),
        *(attacks.persuasion(options.folder, options.home, model, options.cap) for model in options.models),
    ],
    "agentdojo": lambda options: (
        dojo.agentdojo(options.folder, options.home, model, options.cap) for model in options.models
    ),
    "fuzz": lambda options: (  # one after another: an hour's report must not wait for its last minute
        fuzzing.fuzz(options.folder, target, options.seconds) for target in options.target or fuzzing.TARGETS
    ),
    "soak": lambda options: [endurance.soak(options.folder, options.minutes)],
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=[*COMMANDS, "all"])
    parser.add_argument(
        "--folder", type=Path, default=Path(".data/harden"), help="index and logs of the app under test"
    )
    parser.add_argument(
        "--home", type=Path, default=Path(".data/garak"), help="environments of garak and AgentDojo, reports"
    )
    parser.add_argument(
        "--stand-in", dest="models", default=["smollm2-135m"], action="append", metavar="FILE",
        help="GGUF that they try to persuade as well as the embedded model",
    )  # fmt: skip
    parser.add_argument(
        "--cap", type=int, default=6, help="prompts of each of garak's injection probes, the others go with it; "
        "goals of each of AgentDojo's attacks at a place",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seconds", type=int, default=120, help="of each parser's fuzzing")
    parser.add_argument("--target", choices=fuzzing.TARGETS, action="append")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args(argv)
    options.home = options.home.resolve()  # its programs run in another folder
    for folder in (options.folder, options.home):
        folder.mkdir(parents=True, exist_ok=True)
    if not (options.folder / "models").exists():
        (options.folder / "models").symlink_to(Path(".data/models").resolve())
    verdicts: list[Verdict] = []
    for name in COMMANDS if options.command == "all" else [options.command]:
        for verdict in _ran(name, options):
            verdicts.append(verdict)
            print(verdict.json(), verdict.markdown(), sep="\n", flush=True)
            if options.report:
                options.report.write_text("\n".join([HEAD, *(one.markdown() for one in verdicts)]) + "\n")
    return int(not all(verdict.ok for verdict in verdicts))


def _ran(name: str, options: Options) -> Iterator[Verdict]:
    """The rows of a command; one that breaks is a row too, so that an hour's other rows are not lost."""
    try:
        yield from COMMANDS[name](options)
    except Exception as error:
        traceback.print_exc()
        yield Verdict(name, name, "runs to its end", f"{type(error).__name__}: {error}", False, {})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
