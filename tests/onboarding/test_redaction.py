"""Redaction: what it cuts out of messages before they are kept, and what stays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onboarding.redaction import redact
from tests.evals.redaction import measure
from tests.redaction_rows import clean_rows, dirty_rows

KEY = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7"


@pytest.mark.parametrize("seed", [1, 2001])
def test_the_figures_of_the_judged_rows_hold(seed: int) -> None:
    figures = measure(dirty_rows(seed), clean_rows(seed + 1))
    assert (figures["dirty"], figures["clean"]) == (500, 500)
    assert figures["recall"] >= 0.99, figures["missed"]
    assert figures["recall_credentials"] == 1.0, figures["missed"]
    assert figures["precision"] >= 0.95, figures["harmed"]
    assert figures["kept"] >= 0.95


def test_the_measure_would_notice_a_redactor_that_does_nothing_or_too_much() -> None:
    nothing = measure(dirty_rows(), clean_rows(), lambda text: text)
    everything = measure(dirty_rows(), clean_rows(), lambda _text: "")
    half = measure(dirty_rows(), clean_rows(), lambda text: redact(text[: len(text) // 2]) + text[len(text) // 2 :])
    assert nothing["recall"] == 0.0 and nothing["precision"] == 1.0
    assert everything["recall"] == 1.0 and everything["precision"] == 0.0 and everything["kept"] < 0.2
    assert half["recall"] < 0.9


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"token hf_{KEY} is refused", "token [Hugging Face token] is refused"),
        ("proxy=http://bot:s3cr3t@proxy:3128/", "proxy=http://[credential]@proxy:3128/"),
        ("password=Sommer2024! and more", "password=[secret] and more"),
        ("das Passwort lautet Sommer2024 und", "das Passwort lautet [secret] und"),
        ("ask jane.doe@contoso.com", "ask [e-mail]"),
        ("call +49 30 1234 5678 now", "call [phone] now"),
        ("paid with 4111 1111 1111 1111", "paid with [card]"),
        ("ssh root@10.4.5.6 -p 22", "ssh root@[ip] -p 22"),
        ("http://[fd12:3456::1]:80", "http://[[ip]]:80"),
        ("/home/jane/lab/x", "/home/[user]/lab/x"),
        ("kvm07.corp.contoso.com is down", "[host] is down"),
        ("[root@berlin-07 ~]# id", "[root@[host] ~]# id"),
        ("pass\u200bword=\u2060Sommer2024!", "password=[secret]"),
        ("password: h3I(yfWD5wjw", "password: [secret]"),
        ("password: %(fVNlV4qz4x", "password: [secret]"),
        ("password: $h3EWY8sFOCH", "password: [secret]"),
        ("call 763-655-1505x87706", "call [phone]"),
        ("at 5aff:b229:7631:a992:f0ce:5836:5c6:af07", "at [ip]"),
        ("visa 4222222222222 declined", "visa [card] declined"),
        ("ｐａｓｓｗｏｒｄ： hunter2", "ｐａｓｓｗｏｒｄ： [secret]"),
        ("ＡＰＩ＿ＫＥＹ＝hunter2", "ＡＰＩ＿ＫＥＹ＝[secret]"),
        ("我的密码是hunter2", "我的密码是[secret]"),
        ("비밀번호는 hunter2", "비밀번호는 [secret]"),
        ("كلمة المرور: hunter2", "كلمة المرور: [secret]"),
        ("mijn wachtwoord is hunter2", "mijn wachtwoord is [secret]"),
        ("moje heslo je hunter2", "moje heslo je [secret]"),
        ("la password è hunter2", "la password è [secret]"),
        ("kvm07．corp。contoso．com １０.4.5.6", "[host] [ip]"),
        ("mail jane＠contoso．com", "mail [e-mail]"),
        ("トークンhf_" + KEY + "です", "トークン[Hugging Face token]です"),
    ],
)
def test_a_finding_is_replaced_by_its_kind_and_the_rest_stays(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "treat the token like a password: never commit it",
        "password: <your password>",
        "password: $ADMIN_PASSWORD or password: $admin_password",
        "password = getpass.getpass()",
        "4222222222222 bytes",
        'password: "{{ vault_admin_password }}"',
        "git@github.com:Qubinode/qubinode_navigator.git",
        "user@1000.service and getty@tty1.service",
        "192.0.2.7, 2001:db8::1, 127.0.0.1, 255.255.255.0, 10.0.0.0/8 and 8.8.8.8",
        "version 2.17.0.1 of openvswitch",
        "commit 03ce823946f70ea53e57702986d374c2132aeaac",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "52:54:00:ab:cd:ef at 10:01:02",
        "4111 1111 1111 1112 fails the check of a card number",
        "docs.redhat.com, node1.ocp.example.com and console.svc.cluster.local",
        "/home/lab-user and /home/.../x",
        "-----BEGIN PRIVATE KEY----- is the first line of a key",
    ],
)
def test_what_belongs_to_nobody_stays(text: str) -> None:
    assert redact(text) == text


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.sampled_from([row.text for row in dirty_rows(7)]),
            st.sampled_from(
                ["password", "=", ": ", "://", "@", "[", "]", "\n", "-----BEGIN PRIVATE KEY-----", "eyJ", "+"]
            ),
        ),
        max_size=8,
    ).map("".join)
)
def test_any_text_is_taken_and_a_second_pass_finds_nothing_that_matters(text: str) -> None:
    once = redact(text)
    assert not any(char in once for char in "\x00\u200b\u202e")
    assert redact(redact(once)) == redact(once)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit", ["a", "1 ", "sk-", "ssh a@", "a://", "password ", "-----BEGIN PRIVATE KEY-----\n", "eyJ.", "::", "call 1"]
)
def test_a_long_text_of_beginnings_ends(unit: str) -> None:
    """Takes a third of a second where the work is linear in the length; minutes, and so the timeout, where quadratic."""
    assert redact(unit * (100_000 // len(unit)))
