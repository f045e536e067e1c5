"""Marks of an attack that a classifier should not have to weigh: control tokens, secret files, code injection.

These patterns only ever add refusals; what they miss is left to the classifier. They do not judge intent, so they
hold only what a question about this platform has no reason to contain, in any language.
"""

import re

from onboarding.routing.text import clip, fold

_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"<\|[a-z_]+\|>|\[/?inst\]|<</?sys>>|</?tool_(?:call|response)>",  # control tokens of chat templates
        r"169\.254\.169\.254|metadata\.google\.internal|100\.100\.100\.200",  # cloud metadata services
        r"/etc/(?:shadow|passwd|sudoers|gshadow)|/proc/(?:self|\d+)/(?:environ|mem|maps|root)|/root/\.\w+",
        r"(?:\.\./){2,}",
        r"\bid_(?:rsa|ed25519|ecdsa)\b(?!\.pub)",
        r"\bos\.environ\b|\bprintenv\b|__import__|\bos\.system\b|\bsubprocess\.(?:run|popen|call)|\beval\(|\bexec\(",
        r"/dev/tcp/|\bnc(?:at)? -[a-z]*e\b|\bbash -i\b|\breverse shell\b|:\(\)\s*\{",
        r"\brm -[a-z]*r[a-z]* +(?:--no-preserve-root +)?[/~*]|\bmkfs\.|\bdd if=.* of=/dev/|> */dev/sd[a-z]",
        r"\$\{jndi:|<script\b|\bonerror *=|javascript:|\bunion +select\b|' *or +'?1'? *= *'?1|drop +table",
        r"[;|&`] *(?:cat|curl|wget|id|whoami|bash|sh|nc|python3?|env|ls) +[/~\-$.\w]*(?:etc|http|/|env|\$)",
        r"\$\(|`[^`]*(?:cat|curl|wget|env|whoami)[^`]*`.*(?:run|execute|output)",
        r"\bignore (?:all |any |your |the |these |my |every )*(?:previous|prior|above|earlier|preceding)\b",
        r"\b(?:dan|god|jailbreak|developer|unrestricted) mode\b|\bjailbreak\w*\b|\bdo anything now\b",
        r"\b(?:keylogger|ransomware|botnet|rootkit|spyware)s?\b",
    )
)


def is_hostile(text: str) -> bool:
    """Return whether `text` bears a mark of an attack that needs no weighing."""
    folded = fold(clip(text))
    return any(pattern.search(folded) for pattern in _PATTERNS)
