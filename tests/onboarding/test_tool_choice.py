"""Tool choice: what a message wants of the demo host, which tool, which arguments."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from model.turn.tool_grammar import grammar, read_call
from model.turn.wording import Words, nearness
from onboarding.assistant.replies import FOLDER, Replies
from onboarding.routing.arguments import ArgumentGrammar, load_names
from onboarding.routing.language.lexicon import load_lexicon
from onboarding.routing.remedies import command_for, load_remedies
from onboarding.routing.router import Route
from onboarding.routing.routing import Routing
from onboarding.routing.tool_choice import ToolChoice, ToolChooser
from rag.types import SearchResult
from tests.routing_parts import choice_of, read

pytest_plugins = ("tests.routing_parts",)

DIAGNOSTICS = Route("diagnostics", 1.0)


def function(name: str, properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


SCHEMAS = [
    function("system_info", {}),
    function("service_status", {"services": {"type": "array", "items": {"type": "string"}}}),
    function("process_info", {"filter_name": {"type": "string"}, "top_n": {"type": "integer"}}),
    function("move", {"to": {"type": "string", "enum": ["a", "b"]}, "fast": {"type": "boolean"}}, ("to",)),
]


@pytest.fixture(scope="module")
def names() -> ArgumentGrammar:
    return ArgumentGrammar(load_lexicon(), load_names())


# --- choosing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tool", "args"),
    [
        ("which kernel is the demo host running", "system_info", {}),
        ("how much ram is still free on the host", "resource_usage", {}),
        ("is chronyd.service running on the demo host?", "service_status", {"services": ["chronyd"]}),
        ("show the 7 busiest processes", "process_info", {"top_n": 7}),
        ("which vms are running on the demo host", "kvm_diagnostics", {}),
        ("can the host ping 10.1.1.1", "network_diagnostics", {"targets": ["10.1.1.1"]}),
        ("Läuft firewalld auf dem Demo-Host?", "service_status", {"services": ["firewalld"]}),
        ("メモリの空きはどれくらいですか？", "resource_usage", {}),
    ],
)
def test_a_check_of_the_demo_host_gets_its_tool_and_arguments(
    routing: Routing, text: str, tool: str, args: dict[str, Any]
) -> None:
    choice = choice_of(routing, text, DIAGNOSTICS)
    assert (choice.intent, choice.tool, choice.args) == ("check", tool, args)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("how do i restart chronyd on my own server?", "knowledge"),
        ("restart chronyd on the demo host", "action"),
        ("Starte den Dienst firewalld neu", "action"),
        ("which command lists the processes on linux", "knowledge"),
        ("thank you very much", "none"),
    ],
)
def test_knowledge_action_and_talk_get_no_tool(routing: Routing, text: str, intent: str) -> None:
    choice = choice_of(routing, text, Route("general_question", 1.0))
    assert (choice.intent, choice.tool, choice.args) == (intent, None, {})


def test_an_unsafe_message_never_gets_a_tool(routing: Routing) -> None:
    choice = choice_of(routing, "is sshd running on the demo host", Route("unsafe", 0.9))
    assert choice == ToolChoice("none", None, confidence=0.9)


def test_a_full_checkup_is_a_check_without_a_single_tool(routing: Routing) -> None:
    choice = choice_of(routing, "run all diagnostics on the host", DIAGNOSTICS)
    assert (choice.intent, choice.tool) == ("check", None)


def test_a_follow_up_keeps_the_tool_and_brings_its_own_argument(routing: Routing) -> None:
    choice = choice_of(routing, "and sshd?", DIAGNOSTICS, ["is libvirtd running on the demo host?"])
    assert (choice.tool, choice.args) == ("service_status", {"services": ["sshd"]})


def test_confidence_is_a_probability(routing: Routing) -> None:
    assert 0.0 < choice_of(routing, "uptime", DIAGNOSTICS).confidence <= 1.0


@pytest.mark.parametrize("text", ["run disk_health please", "show me the disk health", "Disk-Health?"])
def test_a_tool_without_exemplars_is_chosen_by_its_name_and_belongs_to_a_whole_run(routing: Routing, text: str) -> None:
    known = routing.chooser
    chooser = ToolChooser(routing.reader.lexicon, known._classifier, [*known.tools, "disk_health"])
    choice = chooser.choose(routing.reader.read(text), DIAGNOSTICS)
    assert (choice.intent, choice.tool, choice.is_sure) == ("check", "disk_health", True)
    assert chooser.choose(routing.reader.read("how do i check disk health?"), DIAGNOSTICS).tool != "disk_health"
    assert chooser.tools == ("system_info", "resource_usage", "service_status", "process_info", "disk_health",
                             "kvm_diagnostics", "network_diagnostics")  # fmt: skip


# --- arguments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "services"),
    [
        ("are sshd and NetworkManager ok", ["sshd", "NetworkManager"]),
        ("systemctl status cockpit.socket", ["cockpit.socket"]),
        ("is networkmanager.service active", ["NetworkManager"]),
        ("is the network manager up", ["NetworkManager"]),
        ("ist die Firewall aktiv", ["firewalld"]),
        ("¿está activo el cortafuegos?", ["firewalld"]),
        ("防火墙开着吗？sshd呢", ["firewalld", "sshd"]),
        ("방화벽이 켜져 있어?", ["firewalld"]),
        ("the frobnicator service, is it alive", ["frobnicator"]),
        ("systemd-resolved dead?", ["systemd-resolved"]),
        ("are all services up", []),
        ("is libvritd up, and chornyd", ["libvirtd", "chronyd"]),
        ("systemd-resovled dead?", ["systemd-resolved"]),
        ("check NetworkManger", ["NetworkManager"]),
        ("läuft der dienst schon oder noch nicht", []),
        ("¿están activos los servicios de redes?", []),
    ],
)
def test_services_are_found_by_name_synonym_and_form(names: ArgumentGrammar, text: str, services: list[str]) -> None:
    assert names.arguments("service_status", read(text)) == ({"services": services} if services else {})


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("ping 10.0.0.1 and fe80::1", ["10.0.0.1", "fe80::1"]),
        ("is https://quay.io/repository reachable", ["quay.io"]),
        ("can it reach Google", ["google.com"]),
        ("ping google dns", ["8.8.8.8"]),
        ("read plugins.yml and check 999.1.1.1", []),
        ("ping vm01", ["vm01"]),
        ("is the network ok", []),
        ("github.comに到達できますか", ["github.com"]),
    ],
)
def test_targets_are_addresses_and_host_names_not_files(names: ArgumentGrammar, text: str, targets: list[str]) -> None:
    assert names.arguments("network_diagnostics", read(text)) == ({"targets": targets} if targets else {})


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("top 5 processes", {"top_n": 5}),
        ("the twelve biggest processes", {"top_n": 12}),
        ("die fünf größten Prozesse", {"top_n": 5}),
        ("显示前三个进程", {"top_n": 3}),
        ("占用内存最多的8个进程", {"top_n": 8}),
        ("top 3 python processes", {"filter_name": "python", "top_n": 3}),
        ("läuft ein qemu-prozess", {"filter_name": "qemu"}),
        ("processes named backup-agent", {"filter_name": "backup-agent"}),
        ("any zombie processes", {}),
        ("is pid 4711 still there", {}),
        ("which running processes use over 90 percent", {}),
        ("any pyhton processes", {"filter_name": "python"}),
        ("is a ngnix process there", {"filter_name": "nginx"}),
        ("welche prozesse laufen gerade", {}),
    ],
)
def test_process_filters_and_counts(names: ArgumentGrammar, text: str, args: dict[str, Any]) -> None:
    assert names.arguments("process_info", read(text)) == args


def test_tools_without_parameters_get_none(names: ArgumentGrammar) -> None:
    assert names.arguments("kvm_diagnostics", read("is libvirtd on 10.0.0.1 up, top 5")) == {}


# --- the grammar for the model --------------------------------------------------------------------------


def language(gbnf: str) -> re.Pattern[str]:
    """Translate a grammar without recursion into a regular expression, for matching in tests."""
    rules = dict(line.split(" ::= ", 1) for line in gbnf.strip().splitlines())
    token = re.compile(r'"((?:\\.|[^"\\])*)"|(\[[^\]]*\])|([a-z][a-z0-9-]*)|([(){}|?,0-9]+)|\s+')

    def expand(body: str) -> str:
        parts = []
        for literal, chars, rule, sign in token.findall(body):
            parts.append(re.escape(re.sub(r"\\(.)", r"\1", literal)) if literal else chars or sign)
            if rule:
                parts[-1] = f"(?:{expand(rules[rule])})"
        return "".join(parts)

    return re.compile(expand(rules["root"]))


@pytest.mark.parametrize(
    ("call", "admitted"),
    [
        ('{"name": null, "arguments": {}}', True),
        ('{"name": "system_info", "arguments": {}}', True),
        ('{"name": "service_status", "arguments": {"services": ["sshd", "chronyd"]}}', True),
        ('{"name": "service_status", "arguments": {}}', True),
        ('{"name": "process_info", "arguments": {"top_n": 5}}', True),
        ('{"name": "process_info", "arguments": {"filter_name": "qemu", "top_n": 5}}', True),
        ('{"name": "move", "arguments": {"to": "b", "fast": true}}', True),
        ('{"name": "move", "arguments": {"fast": true}}', False),
        ('{"name": "move", "arguments": {"to": "c"}}', False),
        ('{"name": "process_info", "arguments": {"top_n": "5"}}', False),
        ('{"name": "system_info", "arguments": {"top_n": 5}}', False),
        ('{"name": "rm", "arguments": {}}', False),
        ('Sure! {"name": "system_info", "arguments": {}}', False),
    ],
)
def test_the_grammar_admits_calls_of_the_schemas_and_nothing_else(call: str, admitted: bool) -> None:
    assert bool(language(grammar(SCHEMAS)).fullmatch(call)) is admitted


def test_a_call_written_under_the_grammar_is_read_back() -> None:
    text = '{"name": "process_info", "arguments": {"filter_name": "qemu", "top_n": 5}}'
    assert read_call(text, SCHEMAS) == ("process_info", {"filter_name": "qemu", "top_n": 5})
    assert read_call('{"name": null, "arguments": {}}', SCHEMAS) == (None, {})


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "process_info", "arg',
        '{"name": "rm", "arguments": {}}',
        '{"name": "system_info", "arguments": {"top_n": 5}}',
        "[]",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_call(text, SCHEMAS)


def test_a_parameter_type_without_a_rule_is_named() -> None:
    with pytest.raises(ValueError, match="object"):
        grammar([function("odd", {"x": {"type": "object"}})])


# --- what to run instead --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("restart libvirtd for me", "sudo systemctl restart libvirtd"),
        ("Starte sshd und chronyd neu", "sudo systemctl restart sshd chronyd"),
        ("sshdを停止して", "sudo systemctl stop sshd"),
        ("reboot the host", "sudo systemctl reboot"),
        ("Starte den Host neu", "sudo systemctl reboot"),
        ("サーバーを再起動して", "sudo systemctl reboot"),
        ("Starte die virtuelle Maschine neu", ""),
        ("start the vm freeipa", "virsh start freeipa"),
        ("start the vm for me please", ""),
        ("reinicia el servidor", "sudo systemctl reboot"),
        ("riavvia libvirtd", "sudo systemctl restart libvirtd"),
        ("delete the vm web01", "kcli delete vm web01"),
        ("sing me a song", ""),
    ],
)
def test_a_refused_action_comes_with_the_command_to_run_oneself(
    names: ArgumentGrammar, text: str, command: str
) -> None:
    assert command_for(read(text), names, load_remedies()) == command


@pytest.mark.parametrize("text", ["Apaga la VM web01", "Apague a VM web01", "Smaž VM web01"])
def test_nothing_destructive_is_suggested_from_a_gloss(names: ArgumentGrammar, text: str) -> None:
    assert "delete" not in command_for(read(text), names, load_remedies())


@pytest.mark.parametrize("text", ["install nginx;reboot", "kill $(id)", "restart sshd`id`", "install ../../x && id"])
def test_no_shell_syntax_of_a_message_reaches_a_command(names: ArgumentGrammar, text: str) -> None:
    assert not set(";$`&") & set(command_for(read(text), names, load_remedies()))


def test_an_action_carries_its_suggestion(routing: Routing) -> None:
    choice = choice_of(routing, "please restart chronyd on the demo host", DIAGNOSTICS)
    assert (choice.intent, choice.suggestion) == ("action", "sudo systemctl restart chronyd")


# --- fixed replies --------------------------------------------------------------------------------------


def test_replies_come_in_the_language_of_the_message() -> None:
    replies = Replies()
    assert replies.say("off_topic", read("what's the weather")) == (FOLDER / "off_topic.md").read_text().strip()
    assert "Demo-Host" in replies.refuse_action(read("Starte libvirtd bitte neu"))
    assert "デモホスト" in replies.refuse_action(read("sshdを停止して"))


def test_a_refusal_shows_the_command_where_there_is_one() -> None:
    replies = Replies()
    assert "```bash\nsudo reboot\n```" in replies.refuse_action(read("reboot it"), "sudo reboot")
    assert "$command" not in replies.refuse_action(read("reboot it"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_near_answer_names_what_is_missing_in_every_language(path: Path) -> None:
    near = tomllib.loads(path.read_text("utf-8"))["near"]
    assert "\u201cHarbor\u201d" in nearness(near, SearchResult([], 1.0, "", missing=("Harbor",)))
    assert near != Words().near


def test_a_language_that_lacks_a_reply_is_named(tmp_path: Path) -> None:
    (tmp_path / "hello.md").write_text("Hello")
    (tmp_path / "de.toml").write_text('goodbye = "Tschüss"')
    with pytest.raises(ValueError, match=r"de\.toml.*goodbye, hello"):
        Replies(tmp_path)
