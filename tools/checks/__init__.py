"""The tools: every public function of these modules whose first argument is `host`.

A tool takes a `tools.simulation.view.HostView` as its first argument, named `host`, then typed arguments with
defaults, and returns a dict of JSON values. Its docstring's first lines are the description the model reads, its
`Args:` section describes each argument. To add one, put such a function into a new file here: its schema, its command
in `python -m tools`, its place in the sandbox, in every comprehensive run and in the summaries follow from it. Import
at the top of the file, and `tools` or the modules of `tools.sandbox.worker.LIBRARY` only: the sandbox has no others,
and a module opens nothing, neither while it loads nor while its tools run.
"""
