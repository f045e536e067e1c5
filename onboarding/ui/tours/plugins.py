"""Draw the exercises of the plugin tour: the life cycle, a batch with dependencies, and a plugin to write."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from onboarding.tours.plugin_check import (
    SKELETON,
    check_plugin,
    class_name,
    config_section,
    enabled_line,
    file_path,
)
from onboarding.tours.plugin_lab import DESIRED, STAGES, STOPPED, BatchOutcome, Lab, advance, drift, printed, run_batch
from onboarding.ui.kit.markup import fill, join
from onboarding.ui.kit.tab_context import QUIET
from onboarding.ui.tours.tour import TourTab

BATCH = ("RHEL10Plugin", "VaultIntegrationPlugin", "AIAssistantPlugin")
NOBODY = "none"
FAULTS = [(NOBODY, ""), *((f"{name} {verb}", f"{verb} {name}") for verb in ("fails", "refuses") for name in BATCH)]
END_OF_LIST = "1. config/plugins.yml: add below the last line of the list enabled"
END_OF_FILE = "2. config/plugins.yml: add at the end of the file, which is still inside plugins"
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
            refuse = gr.Button("On a host it refuses", size="sm", elem_id="plugins-refuse", min_width=160)
        step.click(lambda now: _drawn(advance(now)), lab, [lab, shown], **QUIET)
        again.click(lambda: _drawn(Lab()), None, [lab, shown], **QUIET)
        refuse.click(lambda: _drawn(Lab(refuses=True)), None, [lab, shown], **QUIET)

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
            fault = gr.Dropdown(FAULTS, value="", label="What goes wrong", elem_id="plugins-failing")
        shown = gr.HTML(_batch_html(NOBODY, NOBODY, NOBODY, ""), elem_id="plugins-batch", apply_default_css=False)
        for field in (*needs, fault):
            field.change(_batch_html, [*needs, fault], shown, **QUIET)

    def _build_source(self) -> None:
        self._source.render()
        check = gr.Button("Check the structure", variant="primary", size="sm", elem_id="plugins-check")
        shown = gr.HTML("", elem_id="plugins-findings", apply_default_css=False)
        check.click(_remarks, self._source, shown, **QUIET)

    def _build_commands(self) -> None:
        enabled = gr.Code(language="yaml", lines=1, label=END_OF_LIST, elem_id="plugins-enabled")
        config = gr.Code(language="yaml", lines=1, label=END_OF_FILE, elem_id="plugins-config")
        run = gr.Code(language="shell", lines=3, label="3. Run it in the clone", elem_id="plugins-command")
        shown = [enabled, config, run]
        for code, value in zip(shown, _to_paste(SKELETON), strict=True):
            code.value = value
        self._source.change(_to_paste, self._source, shown, **QUIET)


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
        '<p class="said" aria-live="polite">{}{}</p><table class="facts"><thead><tr><th>Service</th><th>Desired</th>'
        "<th>Current</th></tr></thead><tbody>{}</tbody></table>"
    )
    line = fill("<br>The command prints: {}", lab.printed) if lab.printed else ""
    return fill(html, lab.status or "none yet", stages, lab.said, line, rows)


def _drawn(lab: Lab) -> tuple[Lab, str]:
    return lab, lab_html(lab)


def _whole_run(lab: Lab, told: tuple[str, ...]) -> tuple[Lab, tuple[str, ...], str]:
    runs, changed = lab.runs, ", ".join(lab.missing)
    while lab.runs == runs:
        lab = advance(lab)
    applied = f"applied {changed}" if changed else "nothing applied"
    told = (*told, f"Run {lab.runs}: {lab.status}, {applied}. It prints: {lab.printed}")
    return lab, told, _told(told)


def _spoil(lab: Lab, told: tuple[str, ...]) -> tuple[Lab, tuple[str, ...], str]:
    lab = drift(lab)
    told = (*told, f"By hand: {lab.said}")
    return lab, told, _told(told)


def _told(told: tuple[str, ...]) -> str:
    return fill('<ol class="log">{}</ol>', join(fill("<li>{}</li>", line) for line in told[-8:]))


def _batch_html(first: str, second: str, third: str, fault: str) -> str:
    chosen = zip(BATCH, (first, second, third), strict=True)
    needs = {name: [] if need == NOBODY else [need] for name, need in chosen}
    verb, _, plugin = fault.partition(" ")
    try:
        ran = run_batch(needs, plugin if verb == "fails" else "", plugin if verb == "refuses" else "")
    except ValueError as error:
        stopped = (
            '<p class="trouble">{}</p><p>The command prints “❌ {}” and ends with status 1 before any plugin, those '
            "without dependencies included; <code>list</code> and <code>status</code> end the same way.</p>"
        )
        return fill(stopped, str(error), STOPPED)
    return _told(tuple(map(_outcome, ran)))


def _outcome(item: BatchOutcome) -> str:
    if not item.status:
        return f"{item.plugin}: no result, the batch stopped before it"
    line = printed(item.plugin, item.status, item.message, changed=item.status == "completed")
    return f"{item.plugin}: {item.status}. It prints: {line}"


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


def _to_paste(source: str) -> tuple[str, str, str]:
    """Return the line for the list of enabled plugins, the plugin's section, and the commands."""
    name = class_name(source or "")
    if not name:
        return NO_CLASS, NO_CLASS, NO_CLASS
    commands = (
        f"# save the class as {file_path(name)}\n"
        "python3 qubinode_cli.py list\n"
        f"sudo python3 qubinode_cli.py execute --plugins {name} --inventory localhost"
    )
    return enabled_line(name), config_section(name), commands
