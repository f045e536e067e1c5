"""Draw the exercises of the RHEL 10 tour; none needs a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from onboarding.tours.deploy_command import MODES, Answers, command, environment, problems, warning
from onboarding.tours.readiness import Check, PluginRun, plugin_run, readiness
from onboarding.ui.kit.languages import say
from onboarding.ui.kit.markup import fill, join
from onboarding.ui.kit.tab_context import QUIET
from onboarding.ui.tours.tour import TourTab

SERVICES = ["libvirtd", "virtqemud", "NetworkManager", "firewalld", "sshd", "chronyd"]


class Rhel10Tour(TourTab):
    """The tab of the RHEL 10 tour, from a host's readiness to the deploy command; the server stores no answer."""

    name = "rhel10"

    def exercises(self) -> dict[str, Callable[[], None]]:
        """Return the exercises by name."""
        return {
            "readiness": self._build_readiness,
            "plugin run": self._build_plugin_run,
            "deploy command": self._build_deploy_command,
            "services": self._build_services,
        }

    def fields(self) -> list[gr.components.Component]:
        """Make the list of simulated hosts, which the exercise "readiness" shows."""
        choices = [(f"{host.title} ({host.id})", host.id) for host in self._hosts.values()]
        self._chosen = self._host = gr.Dropdown(
            choices, value=self.tour.host, label=say("simulated_host"), elem_id="tour-host", render=False
        )
        return [self._chosen]

    def _build_readiness(self) -> None:
        self._chosen.render()
        shown = gr.HTML(self._readiness(self.tour.host), elem_id="tour-readiness", apply_default_css=False)
        self._chosen.change(self._readiness, self._chosen, shown, **QUIET)

    def _readiness(self, host: str) -> str:
        checks = readiness(self._hosts[host])
        verdict = "Ready for RHEL 10." if all(check.ok for check in checks) else "Not ready for RHEL 10 as it is."
        rows = join(_check_row(check) for check in checks)
        return fill(
            '<p><span class="badge">Simulated</span> <strong>{}</strong></p>'
            '<table class="facts"><thead><tr><th>Check</th><th>Found</th><th></th></tr></thead>'
            "<tbody>{}</tbody></table>",
            verdict,
            rows,
        )

    def _build_plugin_run(self) -> None:
        installed = gr.State(())
        mended = gr.Checkbox(False, label="Pretend that it reads abm as lzcnt", elem_id="tour-mended")
        run = gr.Button("Run the plugin", elem_id="tour-run")
        shown = gr.HTML("", elem_id="tour-plugin", apply_default_css=False)
        run.click(self._run_plugin, [self._chosen, installed, mended], [installed, shown], **QUIET)
        for field in (self._chosen, mended):
            field.change(lambda: ((), ""), None, [installed, shown], **QUIET)

    def _run_plugin(self, host: str, installed: tuple[str, ...], mended: bool) -> tuple[tuple[str, ...], str]:
        result = plugin_run(self._hosts[host], installed, mended)
        return result.packages, _run_table(result)

    def _build_deploy_command(self) -> None:
        with gr.Row():
            domain = gr.Textbox("lab.example.com", label="Domain", elem_id="tour-domain")
            user = gr.Textbox("lab-user", label="Admin user")
            cluster = gr.Textbox("qubinode", label="Cluster name")
        with gr.Row():
            mode = gr.Dropdown(list(MODES), value=MODES[0], label="Mode", elem_id="tour-mode")
            assistant = gr.Checkbox(True, label="AI assistant")
            airflow = gr.Checkbox(True, label="Airflow")
        fields: list[gr.components.Component] = [domain, user, cluster, mode, assistant, airflow]
        trouble = gr.Markdown("", elem_id="tour-trouble")
        warned = gr.Markdown("", elem_id="tour-warning")
        built = gr.Code(_built(_default_answers())[1], language="shell", label="Your command", elem_id="tour-command")
        env = gr.Code(_env(_default_answers()), language="shell", label="The same as .env", elem_id="tour-env")
        for field in fields:
            field.change(_deployment, fields, [trouble, warned, built, env], **QUIET)

    def _build_services(self) -> None:
        check = gr.Button("Check the services", elem_id="tour-verify")
        shown = gr.HTML("", elem_id="tour-services", apply_default_css=False)
        check.click(self._services, self._chosen, shown, **QUIET)

    def _services(self, host: str) -> str:
        result = self._guide.parts.sandbox.call("service_status", {"services": SERVICES}, host)
        if not result.success:
            return fill("<p>{}</p>", result.error or "The tool did not answer.")
        row = "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>"
        services = result.data["services"].items()
        rows = join(fill(row, name, item.get("status", ""), item.get("loadstate", "")) for name, item in services)
        return fill(
            '<p><span class="badge">Simulated</span> <code>service_status</code> on {}</p>'
            '<table class="facts"><thead><tr><th>Service</th><th>State</th><th>Unit</th></tr></thead>'
            "<tbody>{}</tbody></table><p>With modular daemons <code>virtqemud</code> is active and "
            "<code>libvirtd</code> is not; that is healthy.</p>",
            host,
            rows,
        )


def _check_row(check: Check) -> Any:
    mark, word = ("✓", "ok") if check.ok else ("✗", "no")
    advice = fill('<br><span class="advice">{}</span>', check.advice) if not check.ok and check.advice else fill("")
    found = check.found.replace("`", "")
    return fill(
        '<tr class="{}"><td>{}</td><td>{}{}</td><td>{} {}</td></tr>', word, check.what, found, advice, mark, word
    )


def _run_table(run: PluginRun) -> str:
    rows = join(fill("<tr><td>{}</td><td>{}</td></tr>", *step) for step in run.steps)
    lines = join(fill('<p class="said">{}</p>', line) for line in run.printed)
    html = (
        '<p><span class="badge">Simulated</span> status: <strong>{}</strong></p>'
        '<table class="facts"><tbody>{}</tbody></table><p>The command prints:</p>{}'
    )
    return fill(html, run.status, rows, lines)


def _default_answers() -> Answers:
    return Answers("lab.example.com", "lab-user")


def _deployment(
    domain: str, user: str, cluster: str, mode: str, assistant: bool, airflow: bool
) -> tuple[str, str, str, str]:
    answers = Answers(domain.strip(), user.strip(), cluster.strip(), mode, assistant, airflow)
    trouble, built = _built(answers)
    return trouble, warning(answers), built, _env(answers) if not trouble else ""


def _built(answers: Answers) -> tuple[str, str]:
    found = problems(answers)
    return "\n".join(f"- {problem}" for problem in found), "" if found else command(answers)


def _env(answers: Answers) -> str:
    return "\n".join(f"{name}={value}" for name, value in environment(answers).items())
