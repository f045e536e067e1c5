"""Find tokens of known formats and private keys in a text by position, so that a caller can cut them out.

The formats are the patterns of detect-secrets, unchanged, and the ones it lacks, after the issuers' own descriptions.
Does not cover: passwords and keys without a form of their own, and tokens broken over lines.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector


@dataclass(frozen=True, slots=True)
class Span:
    """The kind and position of a secret in a text; never the secret itself."""

    kind: str
    start: int
    end: int  # first character after it


# Not \b: a letter of another alphabet may stand right before a token.
_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
_OWN = {
    "Hugging Face token": r"(?:hf|api_org)_[A-Za-z0-9]{30,}+",
    "GitHub Token": r"github_pat_[A-Za-z0-9_]{36,255}",
    "GitLab Token": r"gl(?:cbt|ffct|oas|pat|dt|rt|soat|ptt)-[A-Za-z0-9_.-]{20,300}",
    "Slack Token": r"xapp-\d-[A-Z0-9]{6,}-\d{6,}-[A-Za-z0-9]{20,}+|xox[ce]-[A-Za-z0-9-]{20,}+",
    "Google key": r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{20,40}|ya29\.[A-Za-z0-9_-]{20,}+",
    "API key": r"sk-(?:ant|proj|svcacct|or|lf)-[A-Za-z0-9_-]{20,}+|sk-[A-Za-z0-9]{32,}+|gsk_[A-Za-z0-9]{40,}+",
    "NPM tokens": r"npm_[A-Za-z0-9]{36}",
    "PyPI Token": r"pypi-AgE[A-Za-z0-9_-]{50,}+",
    "Docker Token": r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}+",
    "Stripe Access Key": r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}+",
    "Vault Token": r"hv[sbr]\.[A-Za-z0-9_-]{20,}+",
    "cloud token": r"do[opr]_v1_[0-9a-f]{64}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,}+",
    "Tailscale key": r"tskey-[a-z]+-[A-Za-z0-9-]{16,}+",
    "OpenShift token": r"sha256~[A-Za-z0-9_-]{40,}+",
    "Grafana token": r"gl(?:sa|c)_[A-Za-z0-9_=+/]{32,}+",
    "age key": r"AGE-SECRET-KEY-1[A-Z0-9]{40,}+",
    "JSON Web Token": r"eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){0,3}|eyJ[A-Za-z0-9_-]{40,}+",
    "registry login": r"(?<=\"auth\":\")[A-Za-z0-9+/]{24,}+={0,2}|(?<=\"auth\": \")[A-Za-z0-9+/]{24,}+={0,2}",
}
_FORMATS = {kind: re.compile(f"{_START}(?:{form}){_END}") for kind, form in _OWN.items()}
_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_FINISH = re.compile(r"-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(r"(?:(?:\s|[>|\"']|\\[nr])++[A-Za-z0-9+/=]{16,}+)+")
_LONGEST_KEY = 20_000  # characters from the first line of a private key to its last
_LEAST_BODY = 40  # characters; with fewer, a text only talks about the first line


def token_spans(text: str) -> Iterator[Span]:
    """Yield every token of a known format and every private key with a body; spans may overlap."""
    yield from _private_keys(text)
    for kind, form in _FORMATS.items():
        yield from (Span(kind, *hit.span()) for hit in form.finditer(text))
    for detector in _detectors():
        # The AWS detector's other patterns take the name before the key along.
        for form in detector.denylist[: 1 if isinstance(detector, AWSKeyDetector) else None]:
            yield from (Span(detector.secret_type, *hit.span()) for hit in form.finditer(text))


@functools.cache
def _detectors() -> tuple[RegexBasedDetector, ...]:
    return (
        AWSKeyDetector(),
        DiscordBotTokenDetector(),
        GitHubTokenDetector(),
        GitLabTokenDetector(),
        MailchimpDetector(),
        PypiTokenDetector(),
        SendGridDetector(),
        SlackDetector(),
        StripeDetector(),
        TelegramBotTokenDetector(),
        TwilioKeyDetector(),
    )


def _private_keys(text: str) -> Iterator[Span]:
    for begin in _BEGIN.finditer(text):
        finish = _FINISH.search(text, begin.end(), begin.end() + _LONGEST_KEY)
        body = _BODY.match(text, begin.end())
        end = finish.end() if finish else body.end() if body else begin.end()
        if end - begin.end() >= _LEAST_BODY:
            yield Span("private key", begin.start(), end)
