"""python -m tests.benchmarks engine --model FILE [--visitors 3 --turns 3 --tokens 16] [--json]
python -m tests.benchmarks compare OLD.json NEW.json --tolerance 0.2
"""

from __future__ import annotations

import sys

from tests.benchmarks import compare, engine

COMMANDS = {"engine": engine.main, "compare": compare.main}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
