"""Six simulated diagnostic tools, the simulated hosts they look at, and the sandbox they run in.

Nothing in here touches the machine it runs on: every figure comes from `tools/hosts/*.json` and the clock.
"""
