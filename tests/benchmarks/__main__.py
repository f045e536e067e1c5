"""python -m tests.benchmarks engine --model FILE [--visitors 3 --turns 3 --tokens 16] [--json]
python -m tests.benchmarks server --model FILE [the same]
python -m tests.benchmarks day --model FILE [--hours 8 --visitors N --seed S] [--peer] [--json]
python -m tests.benchmarks lookup --model FILE [--cost-model FILE] [--limit 20]
python -m tests.benchmarks retrieval [--json]
python -m tests.benchmarks path ["a question"] [--json]
python -m tests.benchmarks compare OLD.json NEW.json --tolerance 0.2
"""

from __future__ import annotations

import sys

from model.engine.protocol import ModelUnusable
from rag.command_line import ended
from rag.errors import RagError
from tests.benchmarks import compare, day, engine, lookup, path, retrieval, server

COMMANDS = {
    "engine": engine.main,
    "retrieval": retrieval.main,
    "server": server.main,
    "day": day.main,
    "lookup": lookup.main,
    "path": path.main,
    "compare": compare.main,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    sys.exit(ended(COMMANDS[sys.argv[1]], sys.argv[2:], (RagError, ModelUnusable)))
