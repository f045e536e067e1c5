"""What the RHEL 10 tour does live, without the page around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from onboarding.tours.deploy_command import Answers, command, environment, problems
from onboarding.tours.readiness import plugin_run, readiness
from tools.simulation.hosts import load_hosts

HOSTS = load_hosts()
CORPUS = Path(__file__).parents[2] / "rag" / "corpus"


def verdicts(host: str) -> dict[str, bool]:
    return {check.what: check.ok for check in readiness(HOSTS[host])}


def test_a_healthy_host_passes_every_check() -> None:
    assert set(verdicts("healthy").values()) == {True}


def test_a_cpu_that_shows_abm_instead_of_lzcnt_has_the_level() -> None:
    assert verdicts("cpu-v3-abm")["Processor level v3"] is True


def test_an_older_cpu_is_refused_and_the_missing_flags_are_named() -> None:
    check = next(c for c in readiness(HOSTS["cpu-v2"]) if c.what == "Processor level v3")
    assert not check.ok
    assert "avx2" in check.found
    assert "RHEL 9" in check.advice


def test_virtualisation_switched_off_in_the_firmware_is_found() -> None:
    assert verdicts("virt-disabled")["Hardware virtualisation"] is False


def test_rhel_8_is_told_about_the_refusal() -> None:
    check = next(c for c in readiness(HOSTS["rhel8"]) if c.what == "Operating system")
    assert (check.ok, "refuses RHEL 8" in check.advice) == (False, True)


def test_a_plugin_run_twice_changes_something_once() -> None:
    first = plugin_run(HOSTS["cpu-v3-abm"])
    second = plugin_run(HOSTS["cpu-v3-abm"], first.after)
    assert first.missing == ("java-21-openjdk-devel",)
    assert (first.status, second.status) == ("completed", "skipped")
    assert second.after == first.after


GOOD = Answers("lab.example.com", "lab-user")


def test_good_answers_make_a_command_that_can_be_pasted() -> None:
    text = command(GOOD)
    assert text.splitlines()[0] == "export QUBINODE_DOMAIN=lab.example.com"
    assert text.splitlines()[-2:] == [
        "./scripts/preflight-check.sh --fix",
        "sudo -E ./scripts/development/deploy-qubinode.sh",
    ]


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        (Answers("nodots", "lab-user"), "QUBINODE_DOMAIN"),
        (Answers("lab.example.com; rm -rf /", "lab-user"), "QUBINODE_DOMAIN"),
        (Answers("", "lab-user"), "QUBINODE_DOMAIN"),
        (Answers("lab.example.com", "Über"), "QUBINODE_ADMIN_USER"),
        (Answers("lab.example.com", "root"), "root"),
        (Answers("lab.example.com", "lab-user", "my cluster"), "QUBINODE_CLUSTER_NAME"),
        (Answers("lab.example.com", "lab-user", mode="$(reboot)"), "QUBINODE_DEPLOYMENT_MODE"),
    ],
)
def test_bad_answers_are_named_and_build_nothing(answers: Answers, word: str) -> None:
    assert word in " ".join(problems(answers))
    with pytest.raises(ValueError, match=word):
        command(answers)


def test_every_variable_of_the_command_is_documented() -> None:
    page = (CORPUS / "environment-variables.md").read_text()
    assert [name for name in environment(GOOD) if name not in page] == []
