"""Make the rows about the simulated hosts: which tool a message asks for, and how a result is read."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from model.engine.scripted import ScriptedEngine
from model.prompting.assemble import tool_text, user_message
from model.prompting.system_prompts import PromptTexts
from model.turn.limits import USUAL_LIMITS
from model.turn.tool_calling import ToolMenu, menu_prompt
from model.turn.tool_grammar import NO_CALL_TEXT
from onboarding.instructions.rows import InstructionRow, listed, messages
from onboarding.routing.exemplars import Exemplar
from onboarding.routing.reading import Reader
from onboarding.routing.tool_choice import ALL_TOOLS, ToolChooser
from tools.diagnosis.diagnose import Diagnosis, diagnose
from tools.diagnosis.facts import vms_in
from tools.diagnosis.reading import read
from tools.diagnosis.summary import is_whole_run
from tools.registry import Registry, report
from tools.simulation.hosts import Host
from tools.simulation.machine import Machine
from tools.simulation.view import HostView
from tools.types import ToolResult

EPOCH, DAYS = 1_780_000_000, 300  # the moments at which hosts are looked at, seconds since the epoch
NO_TOOL = ("knowledge", "action")  # labels of messages that want none
CALLS, CALLS_ELSEWHERE = 34, 5  # rows of one tool, in English and in each other language
NO_CALLS = 3  # times as many for messages that want no tool
READINGS = 5  # questions about one tool's result on one host
FAULT_IN = {  # host -> the parts of its machine that hold its fault, which another machine can take over
    "clock-skew": ("clock", "services"),
    "dns-broken": ("network", "kvm"),
    "images-disk-full": ("disks", "kvm"),
    "libvirtd-down": ("services", "kvm"),
}
SHOWN = 4  # processes that an answer names; the first entries of a list are what a model reads of it
_ADDRESS = re.compile(r"\b(?:ip|ips|address(?:es)?|interfaces?|nics?|macs?|bridges?|virbr0)\b", re.IGNORECASE)
_COUNT = re.compile(r"\bhow many\b", re.IGNORECASE)
_UNREAD = re.compile(
    r"\b(?:loss|latency|rtt|mtu|gateway|route|speed|bandwidth|throughput|traffic|packets?|swap|inodes?)\b",
    re.IGNORECASE,
)  # no rule reads it
_VERSION = re.compile(r"\bversions?\b", re.IGNORECASE)
_MEMORY = re.compile(r"\b(?:memory|ram|rss|mem)\b", re.IGNORECASE)
_LOOK = {  # what shows the same on a real host, where no rule names a remedy
    "service_status": "systemctl --failed",
    "resource_usage": "df -h && free -h && uptime",
    "kvm_diagnostics": "lsmod | grep kvm && virsh -c qemu:///system list --all",
    "network_diagnostics": "ping -c 3 1.1.1.1 && nslookup google.com",
    "process_info": "top -b -n 1 -o %CPU | head -n 20",
    "system_info": "uname -r && uptime",
}


@dataclass(frozen=True, slots=True)
class Requests:
    """The exemplars of requests for a check, by tool; `chooser` finds the arguments that a message names."""

    by_tool: Mapping[str, Sequence[Exemplar]]
    chooser: ToolChooser
    reader: Reader

    @classmethod
    def of(cls, exemplars: Sequence[Exemplar], chooser: ToolChooser, reader: Reader) -> Requests:
        """Keep one variant of each line."""
        lines: dict[str, dict[int, Exemplar]] = defaultdict(dict)
        for one in exemplars:
            is_told = one.tool != "knowledge" or one.route != "diagnostics"  # that route's messages may want a check
            if is_told and one.tool in (*chooser.tools, ALL_TOOLS, *NO_TOOL):
                lines[one.tool].setdefault(one.group, one)
        return cls({tool: list(found.values()) for tool, found in lines.items()}, chooser, reader)

    def arguments(self, tool: str, text: str) -> dict[str, Any]:
        """Return the arguments of `tool` that a message names."""
        return self.chooser.arguments(tool, self.reader.read(text))


def call_rows(requests: Requests, menu: ToolMenu, seed: int) -> Iterator[InstructionRow]:
    """Yield messages with the call that they ask for, or with none, in the languages of the exemplars."""
    for tool, found in sorted(requests.by_tool.items()):
        times = NO_CALLS if tool in NO_TOOL else 1
        for one in [] if tool == ALL_TOOLS else _drawn(found, times, random.Random(f"{seed} {tool}")):  # noqa: S311
            arguments = {} if tool in NO_TOOL else requests.arguments(tool, one.text)
            call = NO_CALL_TEXT if tool in NO_TOOL else json.dumps({"name": tool, "arguments": arguments})
            told = menu_prompt(ScriptedEngine(), menu, one.text).messages
            yield InstructionRow(
                "tool_call", one.language, (*told, ("assistant", call)), one.text, call,
                "request without a check" if tool in NO_TOOL else "request for a check", group=str(one.group),
            )  # fmt: skip


def seen_rows(requests: Requests, menu: ToolMenu, hosts: Mapping[str, Host], seed: int) -> Iterator[InstructionRow]:
    """Yield requests whose result was seen already, which need no further call."""
    for host in hosts.values():
        chance = random.Random(f"{seed} seen {host.id}")  # noqa: S311 - no secrets
        for tool in requests.chooser.tools:
            one = chance.choice([found for found in requests.by_tool[tool] if found.language == "en"])
            arguments = requests.arguments(tool, one.text)
            result = Registry.default().run_tool(tool, host.view(_moment(chance)), **arguments)
            told = menu_prompt(ScriptedEngine(), menu, one.text, [result]).messages
            yield InstructionRow(
                "tool_call", "en", (*told, ("assistant", NO_CALL_TEXT)), one.text, NO_CALL_TEXT,
                "request already answered", group=str(one.group),
            )  # fmt: skip


def reading_rows(
    requests: Requests, hosts: Mapping[str, Host], texts: PromptTexts, splits: Mapping[str, str], seed: int
) -> Iterator[InstructionRow]:
    """Yield questions in English about results of the hosts, and of hosts with two faults, each with its reading.

    splits: of hosts and of the exemplars' groups; a question is asked of hosts of its own split alone.
    """
    for host, machine in _machines(hosts, splits):
        for tool in (*requests.chooser.tools, ALL_TOOLS):
            chance = random.Random(f"{seed} {host} {tool}")  # noqa: S311 - no secrets
            found = [
                one
                for one in requests.by_tool[tool]
                if one.language == "en" and splits[str(one.group)] == splits[host.partition("+")[0]]
            ]
            most = READINGS * (2 if tool == ALL_TOOLS else 1) if "+" not in host else 1 + 3 * (tool == ALL_TOOLS)
            for one in chance.sample(found, min(most, len(found))):
                view = HostView(machine, _moment(chance))
                arguments = requests.arguments(tool, one.text) if tool != ALL_TOOLS else {}
                results = _run(tool, arguments, view)
                if answer := _read(one.text, results, view.now, arguments):
                    yield _reading_row(one.text, results, view.now, answer, texts, host)


def _reading_row(
    question: str, results: Sequence[ToolResult], now: float, answer: str, texts: PromptTexts, host: str
) -> InstructionRow:
    told = tool_text(results, now, USUAL_LIMITS.tool_result_chars)
    reading = read(question, results, now).text
    asked = user_message(question, told=f"{reading}\n{told}" if reading else told, checked=texts.checked)
    return InstructionRow(
        "tool_reading", "en", messages(texts.brief, asked, answer), question, answer, f"simulated host {host}",
        group=host.partition("+")[0],
    )  # fmt: skip


def _machines(hosts: Mapping[str, Host], splits: Mapping[str, str]) -> Iterator[tuple[str, Machine]]:
    """Yield every host, then hosts with the fault of another one of their split, where the rules find both."""
    yield from ((name, host.machine) for name, host in hosts.items())
    for name, host in hosts.items():
        for other, parts in FAULT_IN.items():
            if name == other or other not in hosts or splits[name] != splits[other]:
                continue
            taken = {part: getattr(hosts[other].machine, part) for part in parts}
            machine = replace(host.machine, **taken)
            results = _run(ALL_TOOLS, {}, HostView(machine, EPOCH))
            if diagnose(report({result.tool_name: result for result in results}, EPOCH)).others:
                yield f"{name}+{other}", machine


def _run(tool: str, arguments: Mapping[str, Any], view: HostView) -> list[ToolResult]:
    registry = Registry.default()
    if tool == ALL_TOOLS:
        return list(registry.run_all_tools(view).values())
    return [registry.run_tool(tool, view, **arguments)]


def _read(question: str, results: Sequence[ToolResult], now: float, arguments: Mapping[str, Any]) -> str:
    """Return finding, proof and next step as the rules have them; "" where they read nothing that was asked for."""
    found = diagnose(report({result.tool_name: result for result in results}, now))
    reading = read(question, results, now).text
    tool, data = results[0].tool_name, results[0].data
    if is_whole_run(results):
        return "" if found.kind == "unknown" else f"{_diagnosed(found, reading)}{_next(found)}"
    is_fault = found.kind not in ("healthy", "unknown") and all(
        line.startswith(f"{tool}:") and "timestamp" not in line for line in found.evidence
    )
    if _is_unread(question, tool, data, reading):
        return ""
    told = _from_fields(question, tool, data, reading)
    if not (told or reading):
        return ""
    if is_fault and not told:
        return f"{_diagnosed(found, reading)}{_next(found)}"
    told = told or " ".join([reading, *_fields(tool, data, f"{reading} {question}")])
    services = " ".join(arguments.get("services", ()))
    look = f"systemctl status {services}" if services else "ip -brief address" if "addresses" in told else _LOOK[tool]
    return f"{told}\n\nOn a machine of your own, look with:\n\n```bash\n{look}\n```"


def _is_unread(question: str, tool: str, data: Mapping[str, Any], reading: str) -> bool:
    """Return True for what no rule reads; a host whose libvirt is silent starts no machine, whatever its CPU can do."""
    if tool in ("network_diagnostics", "resource_usage"):
        return _UNREAD.search(question) is not None
    return tool == "kvm_diagnostics" and not data.get("libvirt_available") and "libvirt" not in reading


def _from_fields(question: str, tool: str, data: Mapping[str, Any], reading: str) -> str:
    """Return what the fields say of addresses, processes, versions and machines; "" where the reading says it."""
    if tool == "network_diagnostics" and _ADDRESS.search(question):
        return f"The host has these addresses: {listed(_addresses(data))}."
    if tool == "process_info" and (rows := data.get("space_adds", {}).get("busiest")):
        counted = f"{data['total_processes']} processes run, as `total_processes` says. "
        first = "Yes. " if reading.startswith("Yes") else counted if _COUNT.search(question) else ""
        return first + _processes(rows, by_memory=bool(_MEMORY.search(question)))
    if tool == "kvm_diagnostics" and _VERSION.search(question) and (version := data.get("libvirt_version")):
        return f"virsh reports these versions: {version}.".replace("\n", "; ")
    machines = vms_in(data.get("vm_list") or "")
    if machines and not re.search("KVM module|the CPU|libvirt", f"{reading} {question}"):
        return f"{reading} In `vm_list` {listed([f'{name} is {state}' for name, state in machines])}.".strip()
    return ""


def _diagnosed(found: Diagnosis, reading: str) -> str:
    parts = [reading] if reading else []
    parts += [found.cause] if found.cause.rstrip(".").lower() not in reading.lower() else []
    parts += [f"What shows it: {listed([_proof(line) for line in found.evidence])}."] if found.evidence else []
    return " ".join([*parts, *(f"Also found: {cause}" for cause in found.others)])


def _next(found: Diagnosis) -> str:
    if found.kind == "healthy":
        return " Nothing needs mending."
    said = " ".join(step for step in found.remedy if not step.startswith("$ "))
    commands = [step.removeprefix("$ ") for step in found.remedy if step.startswith("$ ")]
    code = "\n\n```bash\n" + "\n".join(commands) + "\n```" if commands else ""
    return f"\n\nNext, on a machine of your own: {said}{code}"


def _proof(line: str) -> str:
    """Return a line of evidence, "tool: field = value: what it shows", in words."""
    tool, _, rest = line.partition(": ")
    field, _, says = rest.partition(": ")
    if " = " not in field:
        return f"{says} (`{field}` of {tool})" if says and "(" not in says else rest
    name, _, value = field.partition(" = ")
    return f"`{name}` of {tool} is `{value}`" + (f" ({says})" if says and "(" not in says else "")


def _addresses(data: Mapping[str, Any]) -> list[str]:
    """Return each interface with its addresses of the Internet protocols."""
    rows = {name: [row["address"] for row in found if row.get("netmask")] for name, found in data["interfaces"].items()}
    return [f"{' and '.join(addresses)} on `{name}`" for name, addresses in rows.items() if addresses]


def _processes(rows: Sequence[Mapping[str, Any]], *, by_memory: bool) -> str:
    """Return the first processes of a list in words, in its order or the largest first."""
    shown = sorted(rows[:SHOWN], key=lambda row: -row["memory_mb"]) if by_memory else rows[:SHOWN]
    first = "The process with most memory" if by_memory else "The busiest process"
    said = [f"{row['name']} (PID {row['pid']}) with {row['cpu_percent']:.1f} % of one CPU and {row['memory_mb']:.0f} MB"
            for row in shown]  # fmt: skip
    others = f" After it come {listed(said[1:])}." if said[1:] else ""
    return f"{first} is {said[0]}, as `busiest` shows.{others}"


def _fields(tool: str, data: Mapping[str, Any], about: str) -> list[str]:
    """Return which fields of a result a reading rests on, in one sentence."""
    shown = [
        f"`{path}` is `{value if isinstance(value, str) else json.dumps(value)}`"
        for path, value in _leaves(data)
        if _is_told(tool, path, about)
    ]
    return [f"The result says so: {listed(shown[:4])}."] if shown else []


def _is_told(tool: str, path: str, about: str) -> bool:
    part = path.split(".")
    match tool:
        case "service_status":
            return path.endswith(".status") and _named(part[1], about)
        case "resource_usage":
            subject = {"cpu": "CPUs", "memory": "memory"}.get(part[0]) or path.partition(".")[2].rpartition(".")[0]
            return path.endswith("usage_percent") and part[0] != "network" and _named(subject, about)
        case "kvm_diagnostics":
            return path in ("kvm_module_loaded", "vmx_support", "svm_support", "libvirt_available")
        case "network_diagnostics":
            if path.endswith(".reachable"):
                return _named(path.removeprefix("connectivity.").removesuffix(".reachable"), about)
            return path == "dns_resolution.working" and "DNS" in about
        case "system_info":
            return path in ("hostname", "release", "uptime_seconds", "space_adds.cpu.x86_64_level")
    return path == "filtered_processes"


def _named(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-])", text) is not None


def _leaves(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        elif isinstance(value, str | int | float | bool):
            yield f"{above}{key}", round(value, 3) if isinstance(value, float) else value


def _drawn(found: Sequence[Exemplar], times: int, chance: random.Random) -> Iterator[Exemplar]:
    """Yield so many of each language as CALLS and CALLS_ELSEWHERE say."""
    languages: dict[str, list[Exemplar]] = defaultdict(list)
    for one in found:
        languages[one.language].append(one)
    for language, lines in sorted(languages.items()):
        most = times * (CALLS if language == "en" else CALLS_ELSEWHERE)
        yield from chance.sample(lines, min(most, len(lines)))


def _moment(chance: random.Random) -> float:
    return float(EPOCH + chance.randrange(DAYS * 86_400))
