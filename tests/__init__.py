"""The test suite: one file per module, browser tests, evals and benchmarks in folders of their own."""
