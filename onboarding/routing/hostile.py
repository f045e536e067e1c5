"""Finds marks of attack that no classifier should weigh: control tokens, secret files, weapons, code injection.

These patterns only ever add refusals; what they miss is left to the classifier. They hold only what a question about
this platform has no reason to contain, or no reason but to ask about it: "what does `rm -rf` in this page do". Messages
are judged as written and as glossed into English, so that the words for things hold in twelve languages; the patterns
of code and files in any.
"""

import re

from onboarding.routing.reading import Reading

_INTENTS = tuple(
    re.compile(pattern)
    for pattern in (
        r"/dev/tcp/|\bnc(?:at)? -[a-z]*e\b|\bbash -i\b|\breverse shell\b|:\(\)\s*\{",
        r"\$\{jndi:|<script\b|\bonerror *=|javascript:|\bunion +select\b|' *or +'?1'? *= *'?1|drop +table",
        r"[;|&`] *(?:cat|curl|wget|id|whoami|bash|sh|nc|python3?|env|ls) +[/~\-$.\w]*(?:etc|http|/|env|\$)",
        r"\b(?:dan|god|jailbreak|developer|unrestricted) mode\b|\bjailbreak\w*\b|\bdo anything now\b",
        r"\b(?:keylogger|ransomware|botnet|rootkit|spyware)s?\b",
        r"\b(?:molotov|napalm|thermite|nitroglycerin|(?:pipe|car|fertili[sz]er) bomb|build a bomb|nerve (?:agent|gas))\b",
        r"\b(?:make|making|build|cook|synthesi[sz]e|brew) (?:\w+ )?(?:bombs?|explosives?|meth|lsd|mdma|fentanyl|ricin|sarin)\b",
        r"\bhow (?:do|can|to|would|could)\b(?: \w+){0,3} (?:hack|ddos|phish|blackmail|poison)\b(?! on\b)",
    )
)
# strings that do harm where they are obeyed or run, and that people also ask about
_STRINGS = tuple(
    re.compile(pattern)
    for pattern in (
        r"<\|[a-z_]+\|>|\[/?inst\]|<</?sys>>|</?tool_(?:call|response)>",  # control tokens of chat templates
        r"169\.254\.169\.254|metadata\.google\.internal|100\.100\.100\.200",  # cloud metadata services
        r"/etc/(?:shadow|passwd|sudoers|gshadow)|/proc/(?:self|\d+)/(?:environ|mem|maps|root)|/root/\.\w+",
        r"(?:\.\./){2,}",
        r"\bid_(?:rsa|ed25519|ecdsa)\b(?!\.pub)",
        r"\bos\.environ\b|\bprintenv\b|__import__|\bos\.system\b|\bsubprocess\.(?:run|popen|call)|\beval\(|\bexec\(",
        r"\brm -[a-z]*r[a-z]* +(?:--no-preserve-root +)?[/~*]|\bmkfs\.|\bdd if=.* of=/dev/|> */dev/sd[a-z]",
        r"\$\(|`[^`]*(?:cat|curl|wget|env|whoami)[^`]*`.*(?:run|execute|output)",
    )
)
_IGNORE = re.compile(
    r"\bignore (?:all |any |your |the |these |my |every )*(?:previous|prior|above|earlier|preceding)\b"
    r"(?! (?:errors?|warnings?|failures?|runs?|results?|releases?|versions?|lines?)\b)"
)
_QUOTED = re.compile(r"```.*?```|`[^`]+`|\"[^\"]+\"|'[^']{8,}'|“[^”]+”|„[^“”]+[“”]|«[^»]+»|「[^」]+」|『[^』]+』", re.S)
_ASKED = re.compile(
    r"\b(?:why|how come|for what|what for|what this|this is what|what (?:is|are|was|does|do|did|causes?|makes?|happens)|means?|meaning|"
    r"purpose|where does|is (?:it|that|this) (?:safe|dangerous|normal|ok|needed|reversible|necessary)|safe|dangerous|"
    r"mandatory|how (?:do|can) i (?:get rid|remove|stop|avoid|escape|strip|filter|hide))\b"
)
_ORDERED = re.compile(
    r"\b(?:you|your|yours|yourself|me|us|please|obey|follow|reveal|print|dump|leak|paste|display|read out|execute|"
    r"go ahead|do (?:it|as|what|so)|contents?|value|now|here|this (?:server|machine|space|host|container|app|site))\b"
)
_NO_ORDER = re.compile(
    r"\b(?:tells?|asks?|wants?|explain|help|can|could)(?: it)?(?: to)? (?:me|you)\b(?: (?:tell|explain)(?: to)? me)?"
)
_SECRET = re.compile(
    r"\b(?:passwords?|tokens?|secrets?|credentials?|(?:api|private|ssh|secret|access) keys?|environment variables?|"
    r"env(?:ironment)?|system prompt|(?:hidden|initial|previous|original) (?:instructions?|prompt|rules))\b|_(?:token|key|password)\b"
)
_YOURS = re.compile(
    r"\b(?:you|your|yours|this (?:\w+ )?(?:space|server|app|machine|container|site|chat)|of this|here|hold)\b"
)


def is_hostile(reading: Reading) -> bool:
    """Return whether a message bears, as written or as glossed, a mark that needs no weighing."""
    texts = {reading.folded, reading.gloss}
    return any(pattern.search(text) for text in texts for pattern in (*_INTENTS, *_STRINGS, _IGNORE))


def is_asking(reading: Reading) -> bool:
    """Return whether a message that bears a mark only asks about it: why it is there, what it means, what it is for.

    Anything that orders, or that asks for what lies behind a mark on this machine, does not.
    """
    texts = {reading.folded, reading.gloss}
    if any(pattern.search(text) for text in texts for pattern in _INTENTS):
        return False
    said = " ".join(_without_strings(text) for text in texts)
    return bool(_ASKED.search(said)) and not _IGNORE.search(said) and not _ORDERED.search(_NO_ORDER.sub(" ", said))


def is_after_secrets(reading: Reading) -> bool:
    """Return whether a message names secrets and the app or its machine together.

    No attack by itself ("do you need my token?"), but reason to be careful.
    """
    return bool(_SECRET.search(reading.gloss) and _YOURS.search(reading.gloss))


def _without_strings(text: str) -> str:
    """Return what a message says beside the strings it quotes or bears."""
    text = _QUOTED.sub(" ", text)
    for pattern in _STRINGS:
        text = pattern.sub(" ", text)
    return text
