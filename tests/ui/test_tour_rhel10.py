"""What the RHEL 10 tour does live, without the page around it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from onboarding.tours.deploy_command import DEPLOY, Answers, command, environment, problems, warning
from onboarding.tours.readiness import WRONG_CPU, WRONG_SYSTEM, plugin_run, readiness
from tools.simulation.hosts import Host, load_hosts

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


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.id)
def test_upstreams_plugin_refuses_every_host(host: Host) -> None:
    """Of other systems for their release, of RHEL 10 for the flag `lzcnt`, which Linux does not show."""
    run = plugin_run(host)
    is_10 = " 10" in host.machine.system.name
    assert run.steps == (("Initialize", f"{WRONG_CPU}: missing lzcnt" if is_10 else WRONG_SYSTEM),)
    assert (run.status, run.printed[-1]) == ("failed", "❌ ⏭️ RHEL10Plugin: Plugin not found: RHEL10Plugin")


def test_with_abm_read_as_lzcnt_a_second_run_changes_nothing_and_is_still_not_skipped() -> None:
    first = plugin_run(HOSTS["healthy"], mended=True)
    second = plugin_run(HOSTS["healthy"], first.packages, mended=True)
    assert first.printed[0].startswith("✅ 🔄 RHEL10Plugin: Applied 1 changes: Installed packages: bzip2-devel, ")
    assert second.printed == ("✅ ⏭️ RHEL10Plugin: Applied 0 changes: ",)
    assert (second.status, second.packages) == ("completed", first.packages)


@pytest.mark.parametrize("host", ["rhel8", "cpu-v2", "cpu-v3-abm"])
def test_the_mended_plugin_still_refuses_other_systems(host: str) -> None:
    assert plugin_run(HOSTS[host], mended=True).status == "failed"


GOOD = Answers("lab.example.com", "lab-user")


def test_good_answers_make_a_command_that_can_be_pasted() -> None:
    text = command(GOOD)
    assert text.splitlines()[0] == "export QUBINODE_DOMAIN=lab.example.com"
    mended, preflight = text.splitlines()[-7:-5]
    assert mended in (CORPUS / "preflight-check.md").read_text()  # upstream's check ends at its first result without it
    assert preflight == "sudo ./scripts/preflight-check.sh --fix"
    assert text.endswith(DEPLOY)


@pytest.mark.parametrize(
    ("made", "ran"),
    [("true", "deployed\n"), ("mkdir opt", "Stop: "), ("mkdir clone && ln -s clone opt", "deployed\n")],
    ids=["nothing", "folder", "link"],
)
def test_the_command_does_not_deploy_over_a_real_folder_in_opt(made: str, ran: str, tmp_path: Path) -> None:
    script = f"{made}\nsudo() {{ echo deployed; }}\n" + DEPLOY.replace("/opt/qubinode_navigator", "opt")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(ran)


def test_mode_development_warns_of_its_known_password() -> None:
    assert "`defaultpassword`" in warning(Answers("lab.example.com", "lab-user", mode="development"))
    assert warning(GOOD) == ""


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
