"""The check of the pages against upstream finds each planted fault, and says nothing about a page that is right."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from rag.checking.check import Report, check, render
from rag.checking.claims import claims_of
from rag.cli import main
from rag.errors import RagError, SourceUnreadable

UPSTREAM = {
    "README.md": "Set LAB_ONLY_DOCUMENTED=1. A port of guides only is 9191.\n",
    "deploy.sh": 'echo "$LAB_DOMAIN"\ncase $1 in --fix) ;; esac\ncat > /etc/lab/lab.conf\n',
    "cli.py": 'subparsers.add_parser("status")\nparser.add_argument("--config")\n',
    "airflow/docker-compose.yml": 'services:\n  airflow-scheduler:\n    ports:\n      - "8888:8080"\n\nvolumes:\n  data:\n',
    "airflow/Makefile": "up: build\n\tpodman-compose up -d\n",
    "airflow/dags/lab.py": 'DAG("lab_deployment")\nclass LabPlugin: ...\n@router.get("/stats")\nAPIRouter(prefix="/rag")\n',
    "docs/adrs/adr-0001-first.md": "# First\n",
    "docs/guide.md": "# Guide\n\nLong enough to be known again.\n",
    "bin/helper": "kcli_setup() { true; }\n",
}
PAGE = """---
title: Lab
sources:
  - deploy.sh
  - docs/guide.md
differs:
  Start:
    README.md: names port `9191`
---

# Lab

## Start

Run `./deploy.sh --fix`, read `docs/guide.md` and set `LAB_DOMAIN`. It listens on port 8888, writes `/etc/lab/lab.conf`
and starts `lab_deployment` by `LabPlugin` (ADR-0001, `GET /rag/stats`).

```bash
cd ~/qubinode_navigator/airflow && sudo make up          # both services
sudo -E LAB_DOMAIN=example.org ./deploy.sh --fix | grep ok
sudo podman exec -it -u root airflow_airflow-scheduler_1 airflow dags trigger lab_deployment
python3 cli.py status --config x
kcli_setup
```
"""
# name -> (what stands on the page, what is put in its place, the kind and the value that must be unexplained)
FAULTS = {
    "a wrong container": ("airflow_airflow-scheduler_1", "airflow_scheduler_1", "container airflow_scheduler_1"),
    "a vanished script": ("| grep ok", "&& ./gone.sh", "script ./gone.sh"),
    "an unknown file": ("`docs/guide.md`", "`docs/guides.md`", "path docs/guides.md"),
    "an unknown source": ("  - docs/guide.md", "  - guide.md", "source guide.md"),
    "a file that says otherwise and is gone": ("    README.md: names", "    READ.md: names", "source READ.md"),
    "a file that no longer says otherwise": ("port `9191`", "port `9292`", "difference 9292"),
    "an unknown variable": ("`LAB_DOMAIN`", "`LAB_DOMAINS`", "variable LAB_DOMAINS"),
    "an unknown variable in a command": ("LAB_DOMAIN=", "LAB_DOMAIM=", "variable LAB_DOMAIM"),
    "a wrong port": ("port 8888", "port 8887", "port 8887"),
    "an unknown option": ("./deploy.sh --fix |", "./deploy.sh --repair |", "option --repair"),
    "an unknown subcommand": ("cli.py status", "cli.py state", "argument state"),
    "an unknown target": ("make up", "make start", "target start"),
    "an unknown command": ("\nkcli_setup", "\nkcli_setups", "command kcli_setups"),
    "an unknown DAG": ("`lab_deployment`", "`lab_deploy`", "name lab_deploy"),
    "an unknown DAG in a command": ("trigger lab_deployment", "trigger lab_deploy", "name lab_deploy"),
    "an unknown plugin": ("`LabPlugin`", "`LabsPlugin`", "plugin LabsPlugin"),
    "an unknown decision": ("ADR-0001", "ADR-0002", "adr ADR-0002"),
    "an unknown route": ("/rag/stats", "/rag/state", "path /rag/state"),
    "an unknown file of the host": ("/etc/lab/lab.conf", "/etc/lab/labs.conf", "path /etc/lab/labs.conf"),
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def run(
    tmp_path: Path, page: str = PAGE, upstream: Path | None = None, since: Path | None = None, exceptions: str = ""
) -> Report:
    pages = write(tmp_path / "pages", {"lab.md": page})
    listed = write(tmp_path, {"exceptions.yaml": "programs: podman grep cd\n" + exceptions}) / "exceptions.yaml"
    return check(pages, upstream or write(tmp_path / "upstream", UPSTREAM), since, listed)


def unexplained(report: Report) -> list[str]:
    return [f"{one.claim.kind} {one.claim.value}" for one in report.unexplained]


def packed(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
        tar.add(folder, "upstream-1234567" if archive.suffix == ".gz" else ".")
    return archive


def test_a_right_page_has_nothing_unexplained(tmp_path: Path) -> None:
    report = run(tmp_path)
    assert unexplained(report) == []
    assert {one.found for one in report.verdicts} == {"code"}
    kinds = {"source", "script", "path", "variable", "port", "container", "name", "plugin", "adr", "target", "argument"}
    assert {one.claim.kind for one in report.verdicts} == kinds | {"option", "command", "difference"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    old, new, claim = FAULTS[fault]
    assert old in PAGE
    assert unexplained(run(tmp_path, PAGE.replace(old, new, 1))) == [claim]


def test_a_find_names_page_line_and_heading(tmp_path: Path) -> None:
    report = run(tmp_path, PAGE.replace("kcli_setup\n", "kcli_setups\n"))
    assert render(report).splitlines()[0] == (
        f"lab.md:{PAGE.splitlines().index('kcli_setup') + 1}  command  kcli_setups  "
        "(neither upstream's nor an ordinary program)"
    )
    assert report.unexplained[0].claim.heading == "Start"
    assert render(report).splitlines()[-1].endswith("0 exceptions, 1 unexplained")


def test_what_only_documents_name_is_listed_as_a_weak_find(tmp_path: Path) -> None:
    report = run(tmp_path, "# Lab\n\nSet `LAB_ONLY_DOCUMENTED`; port 9191.\n")
    assert [(one.claim.value, one.found) for one in report.verdicts] == [
        ("9191", "documents"),
        ("LAB_ONLY_DOCUMENTED", "documents"),
    ]
    assert "in documents only:\n  lab.md:3  port  9191  (Lab)" in render(report)


def test_an_exception_explains_a_claim_and_one_that_nothing_needs_is_listed(tmp_path: Path) -> None:
    page = "# Lab\n\nRead `/srv/mine/a.txt`, `LAB_DOMAIN`.\n"
    listed = "path:\n  /srv/*: the reader's own\nvariable:\n  LAB_DOMAIN: gone\n  LAB_NEVER: gone\n"
    report = run(tmp_path, page, exceptions=listed)
    assert unexplained(report) == []
    assert report.unused == ("variable LAB_DOMAIN", "variable LAB_NEVER")  # upstream has the first again
    assert "exceptions that nothing needs any more:\n  variable LAB_DOMAIN" in render(report)


def test_an_exception_without_a_reason_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RagError, match="LAB_DOMAIN' has no reason"):
        run(tmp_path, exceptions="variable:\n  LAB_DOMAIN:\n")


@pytest.mark.parametrize("name", ["upstream.tar", "upstream.tar.gz"])
def test_an_archive_gives_the_same_as_its_folder(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "upstream", UPSTREAM)
    (folder / "link.sh").symlink_to("deploy.sh")
    page = PAGE.replace("| grep ok", "&& ./gone.sh && ./link.sh")
    assert run(tmp_path, page, packed(folder, tmp_path / name)) == run(tmp_path, page, folder)


def test_cited_files_that_changed_moved_or_vanished_are_named(tmp_path: Path) -> None:
    before = write(tmp_path / "before", UPSTREAM)
    now = {name: text for name, text in UPSTREAM.items() if name not in {"docs/guide.md", "cli.py"}}
    now |= {"deploy.sh": UPSTREAM["deploy.sh"] + "# newer\n", "docs/how-to/guide.md": UPSTREAM["docs/guide.md"]}
    report = run(tmp_path, upstream=write(tmp_path / "now", now), since=before)
    assert [(one.kind, one.path, one.now) for one in report.changes or ()] == [
        ("changed", "deploy.sh", ""),
        ("moved", "docs/guide.md", "docs/how-to/guide.md"),
        ("vanished", "cli.py", ""),
    ]
    assert unexplained(report) == ["source docs/guide.md", "path docs/guide.md", "script cli.py"]
    assert "1 cited files changed, 1 cited files moved, 1 cited files vanished" in render(report)


def test_a_file_that_moved_and_changed_is_known_by_its_name(tmp_path: Path) -> None:
    before = write(tmp_path / "before", {**UPSTREAM, "docs/OLD_GUIDE.md": "a"})
    now = write(tmp_path / "now", {**UPSTREAM, "docs/how-to/old-guide.md": "b"})
    report = run(tmp_path, "# Lab\n\nIn January it was `docs/OLD_GUIDE.md`.\n", now, before)
    assert [(one.kind, one.now) for one in report.changes or ()] == [("moved", "docs/how-to/old-guide.md")]


def test_what_a_sentence_calls_gone_may_be_in_the_older_files(tmp_path: Path) -> None:
    before = write(tmp_path / "before", {**UPSTREAM, "scripts/old.sh": "true\n"})
    now = write(tmp_path / "now", UPSTREAM)
    assert unexplained(run(tmp_path, "# Lab\n\nThe script `scripts/old.sh` is gone.\n", now, before)) == []
    assert unexplained(run(tmp_path, "# Lab\n\nThe script `scripts/old.sh` is gone.\n", now)) == ["path scripts/old.sh"]
    assert unexplained(run(tmp_path, "# Lab\n\nStart it by `scripts/old.sh`.\n", now, before)) == [
        "path scripts/old.sh"
    ]


def test_placeholders_stand_for_anything(tmp_path: Path) -> None:
    page = "# Lab\n\nSee `airflow/dags/<name>.py`, `~/qubinode_navigator/airflow/DIR/lab.py` and `/etc/lab/NAME`.\n"
    assert unexplained(run(tmp_path, page)) == []
    assert unexplained(run(tmp_path, "# Lab\n\nSee `airflow/plugins/<name>.py`.\n")) == [
        "path airflow/plugins/<name>.py"
    ]


def test_the_port_column_of_a_table_is_read(tmp_path: Path) -> None:
    page = "# Lab\n\n| Service | Port |\n| --- | --- |\n| web | 8888, 8887 |\n| 7777 | |\n"
    assert unexplained(run(tmp_path, page)) == ["port 8887"]


def test_text_in_a_here_document_or_a_quote_is_no_command() -> None:
    page = "```bash\ncat > x <<'EOF'\nnonsense here\nEOF\necho 'one\ntwo' && unknown-tool x\n```\n"
    commands = [
        (one.line, one.value) for one in claims_of("p", page, frozenset({"cat", "echo"})) if one.kind == "command"
    ]
    assert commands == [(5, "unknown-tool")]


def test_the_command_answers_with_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upstream = write(tmp_path / "upstream", UPSTREAM)
    pages = write(tmp_path / "pages", {"lab.md": "# Lab\n\nSet `LAB_DOMAIN`.\n"})
    command = ["check", "--corpus", str(pages), "--upstream", str(upstream)]
    assert main(command) == 0
    assert capsys.readouterr().out.endswith("1 found in code, 0 in documents only, 0 exceptions, 0 unexplained\n")
    write(pages, {"other.md": "# Other\n\nSet `LAB_DOMAINS`.\n"})
    assert main(command) == 1
    assert main([*command, "--since", str(tmp_path / "none")]) == 2
    assert "give a checkout of upstream or a tar archive" in capsys.readouterr().err


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="no readable tar archive"):
        run(tmp_path, upstream=write(tmp_path, {"upstream.tar": "no archive"}) / "upstream.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceUnreadable, match="holds no file"):
        run(tmp_path, upstream=tmp_path / "empty")
