"""Commands are held against the evidence; the embedded model's comment ends before it would write any."""

from __future__ import annotations

import pytest

from model.checking.verdict import SentenceChecker
from model.engine.events import Finished, TextDelta
from model.engine.protocol import Generation
from model.statements.evidence import Given
from model.turn.stand_in import without_code

EVIDENCE = (
    "Run `./scripts/preflight-check.sh --fix`, then `sudo -E ./scripts/development/deploy-qubinode.sh`.",
    "Set QUBINODE_DOMAIN and QUBINODE_ADMIN_USER first.\n\n```bash\nkcli create vm NAME -i IMAGE -P memory=4096 -P numcpus=2\n"
    "sudo firewall-cmd --permanent --remove-service=http\n```\n",
    "The message `error: unrecognized arguments: --cpus 2` means that the call used flags that kcli does not have.",
)


def judged(line: str) -> str:
    return SentenceChecker(Given(EVIDENCE)).judge_command(line).kind


@pytest.mark.parametrize(
    "line",
    [
        "sudo -E ./scripts/development/deploy-qubinode.sh",
        "$ ./scripts/preflight-check.sh --fix",
        "export QUBINODE_DOMAIN=lab.example.com",
        "kcli create vm web01 -i centos9stream -P memory=8192",
        "# a comment is no command: docker run heroku",
        "",
    ],
)
def test_a_command_of_the_sources_holds_with_the_readers_own_values(line: str) -> None:
    assert judged(line) == "holds"


@pytest.mark.parametrize(
    "line",
    [
        "sudo docker run -t heroku deploy-qubinode.sh --no-envs=true",
        "./scripts/preflight-check.sh --force",
        "export QUBINODE_TURBO=1",
        "rm -rf /var/lib/libvirt",
        "kcli remove vm NAME",  # a known program, an unknown subcommand
        "sudo firewall-cmd --permanent --add-service=http",
        "./scripts/preflight-check.sh --fix && rm -rf /opt",
    ],
)
def test_a_command_that_no_source_holds_is_found(line: str) -> None:
    assert judged(line) == "not_found"


@pytest.mark.parametrize(
    "line",
    [
        "kcli create vm NAME --cpus 2",  # named only as refused
        "kcli create vm NAME -P centos9stream -i memory=4096",  # the value of another option
    ],
)
def test_a_command_that_a_source_speaks_against_goes_against_it(line: str) -> None:
    assert judged(line) == "against"


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["Run this:\n", "\n``", "`bash\nrm", " -rf /\n```\n", "and more"], "Run this:\n\n"),
        (["Use ", "`make", "`", " now", "`"], "Use `make` now`"),
    ],
)
def test_the_stand_ins_comment_ends_at_its_first_block_of_code(pieces: list[str], shown: str) -> None:
    stopped: list[bool] = []
    generation = Generation(lambda: stopped.append(True))
    for piece in pieces:
        generation.put(TextDelta(piece))
    generation.put(Finished("cancelled" if "``" in pieces[1] else "stop"))
    events = list(without_code(generation))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == shown
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stop"
    assert bool(stopped) == ("rm" in "".join(pieces))
