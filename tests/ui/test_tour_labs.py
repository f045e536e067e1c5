"""What the tours let a visitor play with: a life cycle, a plugin's structure, a contribution, a fault."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from onboarding.tours import plugin_check
from onboarding.tours.content import load_tour
from onboarding.tours.contribution import LONGEST_TITLE, TIMES, Kind, commands, description, load_kinds, starting_point
from onboarding.tours.fault_round import causes, judge, proofs
from onboarding.tours.plugin_check import (
    DEEPEST,
    LONGEST,
    SKELETON,
    PluginRemark,
    check_plugin,
    class_name,
    config_section,
    enabled_line,
    file_path,
)
from onboarding.tours.plugin_lab import DESIRED, Lab, advance, drift, run_batch
from tools.registry import Registry
from tools.simulation.hosts import Host, load_hosts

NOW = 1_800_000_000.0
HOSTS = load_hosts()
KINDS = load_kinds(load_tour("contribute").data)
BROKEN = [host for host in HOSTS.values() if host.evidence]


def life(lab: Lab) -> tuple[list[str], Lab]:
    """The stages of one whole run, and the lab after it."""
    stages: list[str] = []
    while not stages or stages[-1] != "cleanup":
        lab = advance(lab)
        stages.append(lab.stage)
    return stages, lab


def faults(source: str) -> list[str]:
    return [remark.text for remark in check_plugin(source) if not remark.ok]


class TestLifeCycle:
    def test_a_first_run_applies_what_differs_and_reads_the_state_again(self) -> None:
        stages, lab = life(Lab())
        assert stages == ["discover", "initialize", "check", "compare", "apply", "check again", "cleanup"]
        assert dict(lab.state) == dict(DESIRED)
        assert (lab.status, lab.runs) == ("completed", 1)
        assert lab.printed == "✅ 🔄 ServicesPlugin: Applied 2 changes"

    def test_a_second_run_is_skipped_and_never_applies(self) -> None:
        stages, lab = life(life(Lab())[1])
        assert "apply" not in stages
        assert (lab.status, lab.runs) == ("skipped", 2)
        assert lab.printed == "❌ ⏭️ ServicesPlugin: Already in desired state"

    def test_there_is_no_status_before_there_is_a_result(self) -> None:
        statuses = []
        lab = Lab()
        while lab.stage != "cleanup":
            statuses.append(lab.status)
            lab = advance(lab)
        assert statuses == ["", "", "", "", "", "completed", "completed"]

    def test_a_plugin_that_refuses_its_host_fails_as_not_found_and_begins_anew(self) -> None:
        lab = advance(advance(Lab(refuses=True)))
        assert (lab.stage, lab.status, lab.runs) == ("initialize", "failed", 1)
        assert lab.printed == "❌ ⏭️ ServicesPlugin: Plugin not found: ServicesPlugin"
        assert advance(lab).stage == "discover"

    def test_after_a_change_by_hand_only_that_is_applied(self) -> None:
        lab = drift(life(Lab())[1])
        assert lab.missing == {"libvirtd": "enabled"}
        assert dict(life(lab)[1].state) == dict(DESIRED)


class TestBatch:
    def test_dependencies_run_first(self) -> None:
        order = [ran.plugin for ran in run_batch({"C": ["B"], "B": ["A"], "A": []})]
        assert order == ["A", "B", "C"]

    def test_the_first_failure_ends_the_batch(self) -> None:
        ran = {one.plugin: one.status for one in run_batch({"A": [], "B": ["A"], "C": ["B"]}, failing="B")}
        assert ran == {"A": "completed", "B": "failed", "C": ""}

    def test_a_plugin_that_refuses_its_host_is_not_found(self) -> None:
        ran = run_batch({"A": [], "B": []}, refusing="A")
        assert [(one.status, one.message) for one in ran] == [("failed", "Plugin not found: A"), ("", "")]

    def test_a_circle_and_a_missing_name_stop_the_manager_in_upstreams_words(self) -> None:
        with pytest.raises(ValueError, match="plugin manager: Circular dependency detected involving A"):
            run_batch({"A": ["B"], "B": ["A"]})
        with pytest.raises(ValueError, match="plugin manager: Plugin A depends on missing plugin: Ghost"):
            run_batch({"Whole": [], "A": ["Ghost"]})


CONFIG = """\
global:
  plugin_directories:
    - plugins

plugins:
  enabled:
    - RHEL9Plugin
    - LogAnalysisPlugin

  # RHEL 9 Plugin Configuration
  RHEL9Plugin:
    packages:
      - wget
    create_lab_user: true

  # Log Analysis Plugin Configuration
  LogAnalysisPlugin:
    auto_analyze: true
"""


class TestEnable:
    """What is pasted into a file shaped as upstream's config/plugins.yml is read as its ConfigManager reads it."""

    @pytest.mark.parametrize("written", [" {}", "\n    unit: chronyd"])
    def test_both_pieces_pasted_as_told_enable_and_configure_the_plugin(self, written: str) -> None:
        last = "    - LogAnalysisPlugin\n"
        config = CONFIG.replace(last, f"{last}{enabled_line('ChronyPlugin')}\n")
        config += config_section("ChronyPlugin").replace(" {}", written)
        plugins = yaml.safe_load(config).get("plugins", {})  # upstream: _config.get("plugins", {}).get(NAME, {})
        assert plugins["enabled"] == ["RHEL9Plugin", "LogAnalysisPlugin", "ChronyPlugin"]
        assert plugins["RHEL9Plugin"] == {"packages": ["wget"], "create_lab_user": True}
        assert plugins["ChronyPlugin"] == ({} if written == " {}" else {"unit": "chronyd"})
        assert [name for name in plugins["enabled"] if name not in plugins] == []  # upstream: "has no configuration"

    def test_the_plugins_file_is_named_as_upstreams_are(self) -> None:
        assert file_path("ChronyPlugin") == "plugins/services/chrony_plugin.py"
        assert file_path("AIAssistantPlugin") == "plugins/services/aiassistant_plugin.py"
        assert file_path("Plugin") == "plugins/services/my_plugin.py"


class TestStructure:
    def test_the_skeleton_is_in_order(self) -> None:
        assert faults(SKELETON) == []
        assert class_name(SKELETON) == "ChronyPlugin"

    @pytest.mark.parametrize(
        ("before", "after", "says"),
        [
            ("def check_state(self)", "def look(self)", "Add `check_state(self)`"),
            ("def check_state(self)", "async def check_state(self)", "drop `async`"),
            ("(QubiNodePlugin)", "(Plugin)", "No class derives from QubiNodePlugin"),
            ("(QubiNodePlugin):", "(QubiNodePlugin:", "Python cannot read it"),
            ('__version__ = "1.0.0"', 'version = "1.0.0"', "Add `__version__"),
            ("self, current_state: SystemState, desired_state", "self, desired_state", "has 3 parameters"),
            ("return SystemState({self.unit: asked.stdout.strip()})", "pass", "returns nothing"),
            ("def get_desired_state(self", "def wanted(self", "Add `get_desired_state(self, context)`"),
            ("core.base_plugin", "base", "Import the base class"),
        ],
    )
    def test_a_fault_is_named_with_what_to_do(self, before: str, after: str, says: str) -> None:
        assert before in SKELETON
        assert any(says in fault for fault in faults(SKELETON.replace(before, after)))

    def test_a_call_at_module_level_is_pointed_at(self) -> None:
        remark = check_plugin(SKELETON + "\nprint('imported')\n")[0]
        assert not remark.ok
        assert remark.line == len(SKELETON.splitlines()) + 2

    def test_faults_come_first_and_the_order_is_stable(self) -> None:
        found = check_plugin(SKELETON.replace("__version__", "version"))
        assert [remark.ok for remark in found] == sorted(remark.ok for remark in found)

    @pytest.mark.parametrize(
        "source",
        ["(" * 5000, "[" * 100_000, "x" * (LONGEST + 1), "-" * LONGEST + "1", "\x00", "\ud800", "if 1:\n" * 40, ""],
        ids=["open", "long-open", "long", "minus", "nul", "surrogate", "empty-blocks", "empty"],
    )
    def test_hostile_sources_end_in_one_remark(self, source: str) -> None:
        assert [remark.ok for remark in check_plugin(source)] == [False]
        assert class_name(source) == ""

    @settings(max_examples=300, deadline=None)
    @given(st.text(max_size=300) | st.text("()[]{}:,=.\n \"'#@abcdef0123456789\\", max_size=300))
    def test_no_text_makes_it_raise(self, text: str) -> None:
        assert all(isinstance(remark, PluginRemark) for remark in check_plugin(text + SKELETON[: len(text)]))

    def test_nesting_just_allowed_is_parsed(self) -> None:
        assert "No class" in check_plugin("(" * DEEPEST + "1" + ")" * DEEPEST)[0].text

    def test_nothing_of_a_source_is_run(self, tmp_path: Path) -> None:
        mark = tmp_path / "ran"
        check_plugin(f"open({str(mark)!r}, 'w')\n{SKELETON}")
        assert not mark.exists()
        tree = ast.parse(Path(plugin_check.__file__).read_text(encoding="utf-8"))
        called = {getattr(node.func, "id", "") for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert called.isdisjoint({"exec", "eval", "compile", "__import__"})


class TestContribution:
    @pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.id)
    def test_every_kind_has_a_beginning_for_every_length_of_time(self, kind: Kind) -> None:
        for time in TIMES:
            assert kind.start[time] in starting_point(kind, time)
        assert len(kind.checklist) >= 3

    def test_a_description_carries_answers_and_ticks(self) -> None:
        kind = next(iter(KINDS.values()))
        text = description(kind, "say that RHEL 8 is refused", "Readers fail.", "make test", kind.checklist[:1])
        assert text.startswith(f"# {kind.prefix}: say that RHEL 8 is refused\n")
        assert (text.count("- [x] "), text.count("- [ ] ")) == (1, len(kind.checklist) - 1)
        assert "Readers fail." in text

    @settings(max_examples=100, deadline=None)
    @given(title=st.text(max_size=200))
    def test_a_title_adds_no_command_to_the_shell(self, title: str) -> None:
        kind = next(iter(KINDS.values()))
        script = commands(kind, title)
        harmless = "git() { printf '%s\\n' \"$1\"; }; cd() { printf 'cd\\n'; }\n"
        ran = subprocess.run(["bash", "-c", harmless + script], capture_output=True, text=True, check=True)
        assert ran.stdout.split() == ["clone", "cd", "checkout", "add", "commit", "push"]
        assert ran.stderr == ""

    def test_a_first_line_is_no_longer_than_can_be_read(self) -> None:
        kind = next(iter(KINDS.values()))
        first = description(kind, "word " * 60, "", "", ()).splitlines()[0]
        assert len(first) <= LONGEST_TITLE + len("# ")

    def test_a_kind_that_is_not_whole_is_named(self) -> None:
        table = {"id": "docs", "label": "L", "check": "", "checklist": [], "sources": []}
        with pytest.raises(ValueError, match="the contribution 'docs' is not whole"):
            load_kinds({"kinds": [table]})


class TestFault:
    @pytest.mark.parametrize("host", BROKEN, ids=lambda host: host.id)
    def test_only_the_true_cause_is_right_and_every_decoy_says_why_not(self, host: Host) -> None:
        verdicts = {guess: judge(host, guess) for guess in causes(host)}
        assert [guess for guess, verdict in verdicts.items() if verdict.right] == [host.answer]
        assert all(verdict.why for verdict in verdicts.values())

    def test_the_place_of_the_cause_tells_nothing(self) -> None:
        assert len({causes(host).index(host.answer) for host in BROKEN}) > 1

    def test_a_guess_that_was_not_offered_is_refused(self) -> None:
        with pytest.raises(ValueError, match="choose one that is shown"):
            judge(BROKEN[0], "the moon")

    @pytest.mark.parametrize("host", BROKEN, ids=lambda host: host.id)
    def test_the_proof_holds_what_the_tools_report(self, host: Host) -> None:
        run = Registry.default().run_comprehensive_diagnostics(host.view(NOW))
        shown = list(proofs(host, run))
        assert len(shown) == len(host.evidence)
        assert all(proof.says and proof.observed for proof in shown)
