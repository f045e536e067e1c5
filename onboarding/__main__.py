"""Reads a message as the page would, from the shell: python -m onboarding "how do I write a plugin?"

    python -m onboarding [route] MESSAGE [--after EARLIER ...] [--json]

Prints route, confidence and tool choice. Further subcommands are modules with main(argv), named in COMMANDS.
"""

import importlib
import sys
from collections.abc import Sequence

from rag.command_line import ended
from rag.errors import RagError

COMMANDS = {  # imported only when called: each command pays for its own parts
    "instructions": "onboarding.instructions.make",
    "publish": "onboarding.feedback.dataset",
    "report": "onboarding.usage.report",
    "review": "onboarding.feedback.review",
    "route": "onboarding.cli",
}
DEFAULT = "route"


def run(arguments: Sequence[str]) -> int:
    """Run the subcommand named first, or the default one; return its exit code."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stderr.write(f"{__doc__}\nsubcommands: {', '.join(COMMANDS)}\n")
        return 0 if arguments else 2
    named = arguments[0] in COMMANDS
    module = importlib.import_module(COMMANDS[arguments[0] if named else DEFAULT])
    return ended(module.main, list(arguments[1:] if named else arguments), (RagError,))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
