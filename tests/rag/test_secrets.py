"""The secret scan finds planted secrets and leaves plain facts alone."""

import pytest

from rag.secrets.find import find_secrets

PLANTED = {
    "AWS Access Key": "key AKIA" + "Q3EGSYNOPQR7TUVW",
    "GitHub Token": "token ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx",
    "Hugging Face token": "HF=hf_" + "abcdefghijklmnopqrstuvwxyzABCDEF12",
    "Slack Token": "xoxb-" + "123456789012-1234567890123-abcdefghijklmnopqrstuvwx",
}


@pytest.mark.parametrize(("kind", "line"), PLANTED.items())
def test_a_planted_token_is_found_in_its_line(kind: str, line: str) -> None:
    found = find_secrets(f"first\n{line}\nlast")
    assert [(secret.kind, secret.line) for secret in found] == [(kind, 2)]


def test_a_private_key_with_a_body_is_found_and_a_bare_header_is_not() -> None:
    header = "-----BEGIN OPENSSH " + "PRIVATE KEY-----"
    assert [secret.kind for secret in find_secrets(f"{header}\n{'b3BlbnNzaC1rZXk' * 4}\n")] == ["private key"]
    assert find_secrets(f"{header}\n...\n") == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("JSON Web Token", "offline_token: eyJ" + "hbGciOiJIUzUxMiIsInR5cCIgOiAiSldUIiwia2lkIiA6" + "..."),
        ("registry login", '{"auths":{"quay.io":{"auth":"' + "b3BlbnNoaWZ0LXJlbGVhc2UtZGV2K3Rh" + '"}}}'),
    ],
)
def test_a_token_that_is_cut_and_a_pull_secret_are_found_in_pages_too(kind: str, line: str) -> None:
    assert [secret.kind for secret in find_secrets(line)] == [kind]


@pytest.mark.parametrize(
    "line",
    [
        "export HUGGINGFACE_TOKEN=hf_your_token_here",
        "commit 03ce823946f70ea53e57702986d374c2132aeaac",
        "password: <your password>",
        "listens on 192.168.122.1 and asks 8.8.8.8",
        "write to admin@example.com",
        "podman version 5.0.1",
    ],
)
def test_placeholders_and_plain_facts_are_left_alone(line: str) -> None:
    assert find_secrets(line, strict=True) == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("e-mail address", "ask jane.doe@corp.io"),
        ("public IP address", "the server is at 52.17.93.4"),
        ("phone number", "call +49 30 1234 5678"),
        ("Secret Keyword", 'db_password = "Tr0ub4dor&3-horse"'),
    ],
)
def test_personal_data_counts_when_publishing_only(kind: str, line: str) -> None:
    assert kind in {secret.kind for secret in find_secrets(line, strict=True)}
    assert find_secrets(line) == []
