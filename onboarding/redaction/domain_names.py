"""Classifies a domain name: an example, a name of the public network, or a private one."""

from __future__ import annotations

import functools
import re

from publicsuffixlist import PublicSuffixList

_EXAMPLES = re.compile(r"(?:.*\.)?(?:example(?:\.(?:com|org|net|edu))?|test|invalid|localhost)", re.I)  # RFC 2606, 6761
_UNITS = frozenset({"service", "socket", "timer", "mount", "target", "slice", "scope", "path", "device", "conf", "xml"})
# Domains that the documentation and its readers name all the time; none belongs to a person.
_KNOWN = frozenset(
    "redhat.com redhat.io quay.io openshift.com openshift.io okd.io github.com githubusercontent.com github.io"
    " gitlab.com fedoraproject.org centos.org rockylinux.org almalinux.org kernel.org python.org pypi.org"
    " readthedocs.io hf.co hf.space huggingface.co docker.io docker.com k8s.io kubernetes.io google.com googleapis.com"
    " gcr.io ghcr.io amazonaws.com cloudflare.com ansible.com hashicorp.com terraform.io libvirt.org qemu.org ibm.com"
    " mozilla.org wikipedia.org debian.org ubuntu.com apache.org letsencrypt.org smallstep.com vyos.io freeipa.org"
    " posthog.com openrouter.ai anthropic.com openai.com freedesktop.org sigstore.dev microsoft.com windows.com"
    " ntp.org pool.ntp.org cockpit-project.org podman.io opensuse.org oracle.com equinix.com hetzner.com".split()
)


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


def is_example(name: str) -> bool:
    """Return True for a name reserved for documentation and tests."""
    return bool(_EXAMPLES.fullmatch(name.rstrip(".")))


def owner(name: str) -> str:
    """Return the registered domain of a name, "" where its ending is no public suffix."""
    return _suffixes().privatesuffix(name.casefold().rstrip(".")) or ""


def is_public(name: str) -> bool:
    """Return True for a name that can exist in the public network; systemd units only look like one."""
    return name.rpartition(".")[2].casefold() not in _UNITS and bool(
        _suffixes().publicsuffix(name.casefold().rstrip("."))
    )


def is_well_known(name: str) -> bool:
    """Return True for a name of a project or service that everybody names."""
    return owner(name) in _KNOWN
