"""Draw the exercises of the plugin tour: the life cycle, a batch with dependencies, and a plugin to write."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from onboarding.tours.plugin_check import SKELETON, check_plugin, class_name
from onboarding.tours.plugin_lab import DESIRED, STAGES, Lab, advance, drift, run_batch
from onboarding.ui.kit.markup import fill, join
from onboarding.ui.kit.tab_context import QUIET
from onboarding.ui.tours.tour import TourTab

BATCH = ("RHEL10Plugin", "VaultIntegrationPlugin", "AIAssistantPlugin")
NOBODY = "none"
NO_CLASS = "# The skeleton has no plugin class yet; go back one step and mend it."


class PluginsTour(TourTab):
    """The tab of the plugin tour; the server parses the plugin that a visitor writes and never runs it."""

    name = "plugins"

    def exercises(self) -> dict[str, Callable[[], None]]:
        """Return the exercises by name."""
        return {
            "life cycle": self._build_life_cycle,
            "second run": self._build_second_run,
            "dependencies": self._build_dependencies,
            "plugin source": self._build_source,
            "plugin commands": self._build_commands,
        }

    def fields(self) -> list[gr.components.Component]:
        """Make the editor of the plugin's source, which the exercise "plugin source" shows."""
        self._source = gr.Code(
            SKELETON, language="python", label="Your plugin", elem_id="plugins-source", lines=24, render=False
        )
        return [self._source]

    def _build_life_cycle(self) -> None:
        lab = gr.State(Lab())
        shown = gr.HTML(lab_html(Lab()), elem_id="plugins-lab", apply_default_css=False)
        with gr.Row(elem_classes="bar"):
            step = gr.Button("Step", variant="primary", size="sm", elem_id="plugins-step", min_width=110)
            again = gr.Button("Start over", size="sm", elem_id="plugins-reset", min_width=110)
        step.click(lambda now: _drawn(advance(now)), lab, [lab, shown], **QUIET)
        again.click(lambda: _drawn(Lab()), None, [lab, shown], **QUIET)

    def _build_second_run(self) -> None:
        lab, told = gr.State(Lab()), gr.State(())
        with gr.Row(elem_classes="bar"):
            run = gr.Button("Run the plugin", variant="primary", size="sm", elem_id="plugins-run", min_width=140)
            spoil = gr.Button("Disable libvirtd by hand", size="sm", elem_id="plugins-drift", min_width=180)
        shown = gr.HTML("", elem_id="plugins-runs", apply_default_css=False)
        run.click(_whole_run, [lab, told], [lab, told, shown], **QUIET)
        spoil.click(_spoil, [lab, told], [lab, told, shown], **QUIET)

    def _build_dependencies(self) -> None:
        choices = [NOBODY, *BATCH, "FreeIPAPlugin"]
        with gr.Row():
            needs = [
                gr.Dropdown(choices, value=NOBODY, label=f"{name} needs", elem_id=f"plugins-needs-{at}")
                for at, name in enumerate(BATCH)
            ]
            failing = gr.Dropdown([NOBODY, *BATCH], value=NOBODY, label="What fails", elem_id="plugins-failing")
        shown = gr.HTML(_batch_html(*[NOBODY] * 4), elem_id="plugins-batch", apply_default_css=False)
        for field in (*needs, failing):
            field.change(_batch_html, [*needs, failing], shown, **QUIET)

    def _build_source(self) -> None:
        self._source.render()
        check = gr.Button("Check the structure", variant="primary", size="sm", elem_id="plugins-check")
        shown = gr.HTML("", elem_id="plugins-findings", apply_default_css=False)
        check.click(_remarks, self._source, shown, **QUIET)

    def _build_commands(self) -> None:
        config = gr.Code(_config(SKELETON), language="yaml", label="config/plugins.yml", elem_id="plugins-config")
        run = gr.Code(_run(SKELETON), language="shell", label="Run it", elem_id="plugins-command")
        self._source.change(lambda source: (_config(source), _run(source)), self._source, [config, run], **QUIET)


def lab_html(lab: Lab) -> str:
    """Return HTML: the stages with the present one marked, the host's state, and what the plugin says."""
    stages = join(
        fill(
            '<li class="{}"{}>{}</li>',
            "now" if stage == lab.stage else "",
            fill(' aria-current="step"') if stage == lab.stage else "",
            stage,
        )
        for stage in STAGES
    )
    state = dict(lab.state)
    rows = join(
        fill(
            '<tr class="{}"><td>{}</td><td>{}</td><td>{}</td></tr>',
            "yes" if state[name] == want else "no",
            name,
            want,
            state[name],
        )
        for name, want in DESIRED.items()
    )
    html = (
        '<p><span class="badge">Simulated</span> status: <strong>{}</strong></p><ol class="cycle">{}</ol>'
        '<p class="said" aria-live="polite">{}</p><table class="facts"><thead><tr><th>Service</th><th>Desired</th>'
        "<th>Current</th></tr></thead><tbody>{}</tbody></table>"
    )
    return fill(html, lab.status, stages, lab.said, rows)


def _drawn(lab: Lab) -> tuple[Lab, str]:
    return lab, lab_html(lab)


def _whole_run(lab: Lab, told: tuple[str, ...]) -> tuple[Lab, tuple[str, ...], str]:
    runs, changed = lab.runs, ", ".join(lab.missing)
    while lab.runs == runs:
        lab = advance(lab)
    told = (*told, f"Run {lab.runs}: {lab.status}" + (f", applied {changed}" if changed else ", nothing applied"))
    return lab, told, _told(told)


def _spoil(lab: Lab, told: tuple[str, ...]) -> tuple[Lab, tuple[str, ...], str]:
    lab = drift(lab)
    told = (*told, f"By hand: {lab.said}")
    return lab, told, _told(told)


def _told(told: tuple[str, ...]) -> str:
    return fill('<ol class="log">{}</ol>', join(fill("<li>{}</li>", line) for line in told[-8:]))


def _batch_html(first: str, second: str, third: str, failing: str) -> str:
    chosen = zip(BATCH, (first, second, third), strict=True)
    needs = {name: [] if need == NOBODY else [need] for name, need in chosen}
    try:
        ran = run_batch(needs, failing)
    except ValueError as error:
        return fill('<p class="trouble">{}</p>', str(error))
    row = '<tr class="{}"><td>{}</td><td><code>{}</code></td><td>{}: {}</td></tr>'
    rows = join(
        fill(row, "yes" if item.status == "completed" else "no", at, item.plugin, item.status, item.message)
        for at, item in enumerate(ran, start=1)
    )
    head = "<thead><tr><th>Order</th><th>Plugin</th><th>Ends as</th></tr></thead>"
    return fill('<table class="facts">{}<tbody>{}</tbody></table>', fill(head), rows)


def _remarks(source: str) -> str:
    row = '<li class="{}"><span aria-hidden="true">{}</span> {}{}</li>'
    items = join(
        fill(
            row,
            "yes" if remark.ok else "no",
            "✓" if remark.ok else "✗",
            remark.text.replace("`", ""),
            f" (line {remark.line})" if remark.line else "",
        )
        for remark in check_plugin(source or "")
    )
    return fill('<ul class="findings">{}</ul>', items)


def _config(source: str) -> str:
    name = class_name(source or "")
    return f"plugins:\n  enabled:\n    - {name}\n\n{name}: {{}}\n" if name else NO_CLASS


def _run(source: str) -> str:
    name = class_name(source or "")
    if not name:
        return NO_CLASS
    return f"python3 qubinode_cli.py list\npython3 qubinode_cli.py execute --plugins {name} --inventory localhost\n"
