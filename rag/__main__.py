"""Run `python -m rag "question"`, `python -m rag build`, `python -m rag publish` and `python -m rag train`."""

import sys

from rag.cli import main

sys.exit(main(sys.argv[1:]))
