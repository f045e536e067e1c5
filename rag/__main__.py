"""`python -m rag "question"`, `python -m rag build` and `python -m rag publish`."""

import sys

from rag.cli import main

sys.exit(main(sys.argv[1:]))
