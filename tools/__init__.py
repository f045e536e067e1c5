"""The simulated diagnostic tools, the simulated hosts that they look at, and the sandbox that runs them.

No tool touches the machine that it runs on: every figure comes from `tools/hosts/*.json` and the clock.
"""
