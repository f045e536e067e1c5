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
    r"|\b(?:ignor\w+|forget|drop|break|bypass) (?:all |any )?(?:of )?(?:its|your) (?:own )?(?:rules|instructions|guidelines|restrictions)\b"
)
# whoever another's thing, stealth or extortion is spoken of would be harmed
_OTHERS = re.compile(
    r"\b(?:(?:some|any|every)(?:one|body)(?: else)?'s|other (?:people|users?|visitors?|compan(?:y|ies))'?s?|"
    r"(?:others|(?:neighbou?r|colleague|visitor|user|customer)s) (?:type|ask|write|say|send|watch|read)(?:d|ed)?|another (?:person|company|user)'?s?|"
    r"(?:a |the |my )?(?:stranger|neighbou?r|colleague|co-?worker|flatmate|roommate|boss|teacher|victim|enemy|wife|husband|"
    r"girlfriend|boyfriend|ex|bank|school)(?:'s|s')|people's|(?:a|my|the|some|their) (?:bank|company|victim|competitor|celebrity)|"
    r"(?:he|she|they|nobody|no one|people)(?: (?:must|should|can|will|may|do|does|is|are))?(?: ?n[o']t)? (?:know|knows|notice|notices|find out|see|sees)|"
    r"without (?:his|her|their|the \w+|him|them|any(?:one|body)|nobody)(?:'s)? (?:ever |even )?(?:know(?:ing|ledge)|notic(?:e|ing)|permission|consent)|"
    r"unnoticed|unseen|undetected|secretly|until (?:he|she|they|people|you|someone) pays?|for (?:a )?ransom|asks? (?:\w+ )?for money)(?![\w'])"
)
# what is done to somebody, and malware
_WRONGS = re.compile(
    r"\b(?:hack|crack|steal|spy|exploit|sniff|eavesdrop|intercept|impersonate|blackmail|hijack|infect|ddos|phish|sneak|abuse)(?:s|ed|ing)?\b|"
    r"\b(?:fake|forge|forged|attack|attacking|flood|flooding|(?:break|breaks|broke|get|gets) (?:in|into))\b|\bguess(?:ing)? (?:\w+ )?passwords?\b|"
    r"\b(?:virus(?:es)?|malware|trojans?|backdoors?|worms?)\b"
)
_DEFENDING = re.compile(
    r"\b(?:keep|stop|prevent|protect|defend|secure|avoid|against|detect|safe|block|from being|could (?:some|any)|can (?:some|any|it)|is it|are they)"
)
_VISITOR = re.compile(r"\b(?:i|me|my|mine|we|us|our|make|write|help|let|put|one that)\b")
_OTHERS_MAY = re.compile(
    r"\b(?:can|could|may|might|does|do|did|will|would|couldn't|can't) (?:(?:any|some|every)(?:one|body)|others|people|(?:a )?strangers?|"
    r"attackers?|hackers?|outsiders?)\b"
)
_OPENS_QUESTION = re.compile(
    r"^(?:(?:and|so|but|or|ok|okay|well|then|great|thanks)[ ,]+)*(?:which|what|whats|where|who|whose|when|why|how (?:long|often|many|much|safe)|is|are|was|"
    r"isn't|aren't|does|do|did|can|could|couldn't|may|might|would|will|should|any)\b"
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
    r"env(?:ironment)?|vault\.yml|system prompt|(?:hidden|initial|previous|original) (?:instructions?|prompt|rules))\b|_(?:token|key|password)\b"
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


def is_against_others(reading: Reading) -> bool:
    """Return whether a message, or the question it stands for, speaks of a wrong to others that the visitor would do.

    Asking how to be safe from it does not. No attack by itself, but then no talk makes its words harmless.
    """
    said = f"{reading.folded} {reading.gloss}"
    wrong = _WRONGS.search(said) or (reading.joint and _WRONGS.search(reading.joint.gloss))
    does = _VISITOR.search(said) and not _DEFENDING.search(said)
    return bool(_OTHERS.search(said) or (wrong and does))


def is_asking_about_it(reading: Reading) -> bool:
    """Return whether a message only asks about what its talk is about: nobody acts in it, and nothing is ordered."""
    said = reading.gloss
    if not _OPENS_QUESTION.search(said) or any(one.search(said) for one in (_VISITOR, _YOURS, _OTHERS)):
        return False
    return bool(_OTHERS_MAY.search(said)) or not (_ORDERED.search(said) or _WRONGS.search(said))


def is_after_secrets(reading: Reading) -> bool:
    """Return whether a message names secrets, itself or by what it points at, and the app or its machine together.

    No attack by itself ("do you need my token?"), but reason to be careful.
    """
    pointed = reading.before.gloss if reading.before and reading.move.points else ""
    return bool(_SECRET.search(f"{reading.gloss} {pointed}") and _YOURS.search(reading.gloss))


def _without_strings(text: str) -> str:
    """Return what a message says beside the strings it quotes or bears."""
    text = _QUOTED.sub(" ", text)
    for pattern in _STRINGS:
        text = pattern.sub(" ", text)
    return text
