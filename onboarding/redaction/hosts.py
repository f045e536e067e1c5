"""Finds private hosts in a text: IP addresses, and host names that look private.

Does not redact addresses and names that are the same for everybody (documentation, loopback, netmasks, libvirt's
default network, public resolvers, versions of four parts, example domains). Does not cover: short host names in
prose, and names in a public domain that look like a website's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from onboarding.redaction.domain_names import is_example, is_public, is_well_known
from rag.secrets.formats import Span

_IPV4 = re.compile(r"(?<![\w.])(?P<a>(?:\d{1,3}\.){3}\d{1,3})(?P<net>/\d{1,2})?(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?P<a>(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4})(?:%[\w.-]{1,15})?(?![\w:])", re.I)
_VERSION_BEFORE = re.compile(r"(?:\b(?:version|release|ver\.?|v)|==|[<>~]=?)[ \"']{0,2}$", re.I)
_EVERYBODYS = tuple(
    ip_network(net)
    for net in (
        *("0.0.0.0/8", "127.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
        *(
            "192.168.122.0/24",
            "169.254.169.254/32",
            "1.1.1.1/32",
            "1.0.0.1/32",
            "8.8.8.8/32",
            "8.8.4.4/32",
            "9.9.9.9/32",
        ),
        *("2001:db8::/32", "3fff::/20", "::/127"),
    )
)
_RANGES = frozenset(  # a whole range identifies nobody
    {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"}
    | {"10.128.0.0/14", "172.30.0.0/16", "10.244.0.0/16", "10.96.0.0/12", "10.88.0.0/16"}
)

_NAME = re.compile(
    r"(?<![\w.-])(?P<n>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z][a-z0-9-]{1,30})(?![\w-]|\.\w)", re.I
)
_SURELY_PRIVATE = frozenset({"lan", "intranet", "corp", "localdomain", "home", "intra", "priv", "arpa"})
_MAYBE_PRIVATE = frozenset({"local", "internal", "private", "lab"})  # words of configuration as well
_CONSTANTS = re.compile(
    r"(?:.*\.)?(?:cluster\.local|localhost\.localdomain|(?:in-addr|ip6)\.arpa)|host\.(?:containers|docker)\.internal"
    r"|metadata\.google\.internal",
    re.I,
)
_MACHINE = re.compile(
    r"[a-z]+(?:-[a-z]+)*-?\d{1,4}|.*\d{2,}|(?:us|eu|ap)-(?:east|west|north|south|central).*|dc\d?|fra|ams|ber|lon|nyc"
    r"|vpn|corp|int|intra|internal|intern|prod|production|staging|stage|dev|mgmt|oob|ilo|idrac|bmc|ipmi|jump|bastion"
    r"|jenkins|vault|ldap|idm|ipa|db|kvm|hv|esxi?|vcenter|backup|nas|ad|gitlab|nexus|proxy|nfs|san",
    re.I,
)
_FILE_ENDINGS = frozenset("py sh md rs pl cc so zip mov ps ai app pub lock name".split())  # top-level domains too
_SHORT = r"(?P<n>[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?:\.[a-z0-9-]+)*)(?!\w)"
_PLACED = tuple(
    re.compile(form, re.I)
    for form in (
        rf"\[[\w.-]{{1,32}}@{_SHORT}[ ][^\]\n]{{1,60}}\][#$]",
        rf"(?<![\w.-])[\w.-]{{1,32}}@{_SHORT}:[~/][^\s]{{0,100}}[#$]",
        rf"\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id)\b[^\n@]{{0,120}}[ ][\w.-]{{1,32}}@{_SHORT}",
        rf"(?<!\w)(?:[A-Z][a-z]{{2}}[ ]{{1,2}}\d{{1,2}}[ ]\d\d:\d\d:\d\d)[ ]{_SHORT}[ ](?=[\w./-]{{1,60}}(?:\[\d+\])?:)",
        rf"\b(?:hostname|host_?name|node_?name|fqdn)[\"']?[ ]{{0,3}}[:=][ ]{{0,3}}[\"']?{_SHORT}",
        rf"\bset-hostname[ ]{{1,3}}{_SHORT}",
    )
)
_ANY_HOST = frozenset(
    "host hostname hosts server node hypervisor kvmhost localhost vm guest target remote your-host myhost rhel lab"
    " none null true false name the a is of and".split()
)


def host_spans(text: str) -> Iterator[Span]:
    """Yield the span of every address and name of a private host; spans may overlap."""
    yield from (Span("ip", *hit.span("a")) for hit in _IPV4.finditer(text) if _is_own_v4(hit, text))
    yield from (Span("ip", *hit.span("a")) for hit in _IPV6.finditer(text) if _is_own(hit["a"]))
    yield from (Span("host", *hit.span("n")) for hit in _NAME.finditer(text) if _is_private(hit, text))
    for form in _PLACED:
        for hit in form.finditer(text):
            name = hit["n"].casefold()
            if name not in _ANY_HOST and not is_example(name) and not is_well_known(name):
                yield Span("host", *hit.span("n"))


def _is_own_v4(hit: re.Match[str], text: str) -> bool:
    if (hit["a"] + (hit["net"] or "")) in _RANGES or not _is_own(hit["a"]):
        return False
    return not _VERSION_BEFORE.search(text[max(0, hit.start() - 12) : hit.start()])


def _is_own(address: str) -> bool:
    try:
        known: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False  # a number that only looks like one
    is_netmask = known.version == 4 and known.is_reserved  # they lie in that part of the address space
    return not (is_netmask or known.is_multicast or any(known in net for net in _EVERYBODYS))


def _is_private(hit: re.Match[str], text: str) -> bool:
    name = hit["n"].casefold()
    labels = name.split(".")
    if is_example(name) or _CONSTANTS.fullmatch(name):
        return False
    is_placed = text[max(0, hit.start() - 2) : hit.start()].endswith(("//", "@"))
    if labels[-1] in _SURELY_PRIVATE:
        return True
    if labels[-1] in _MAYBE_PRIVATE:
        return is_placed or len(labels) > 2 or any(char in "-0123456789" for char in labels[0])
    return _is_machine(name, labels, is_placed=is_placed)


def _is_machine(name: str, labels: list[str], *, is_placed: bool) -> bool:
    """Return True for a name in a public domain that looks like a machine's rather than a website's."""
    if len(labels) < 3 or not is_public(name) or is_well_known(name):
        return False
    if labels[-1] in _FILE_ENDINGS and not is_placed:
        return False
    return any(_MACHINE.fullmatch(label) for label in labels[:-2])
