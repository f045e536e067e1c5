"""Glosses a message word by word into English, which is the only language the embedding knows well.

The result is no translation: word order and endings stay foreign, unknown words stay as they are. It gives the
classifiers one set of words for twelve languages. lexicon.txt holds the forms and explains its own format,
english.txt the words that speak for English.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from onboarding.routing.language.text import fold, script, words

LEXICON = Path(__file__).with_name("lexicon.txt")
ENGLISH_WORDS = Path(__file__).with_name("english.txt")
ENGLISH = "en"
MIN_STEM = 3  # shorter beginnings match words by accident
MAX_PHRASE = 4  # words in the longest phrase of the lexicon
_ARABIC_CLITICS = ("وال", "بال", "لل", "ال", "و", "ب", "ل", "ف", "ك")
_WITHOUT_SPACES = {"ja", "zh", "ko"}
_SEAM = re.compile(r"(?<=[a-z0-9])(?=[^\x00-\x7f])|(?<=[^\x00-\x7f])(?=[a-z0-9])")  # between a name and its particle
_PLAIN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")  # a word of letters, not a name such as rhel9 or plugins.yml
_DAEMON = re.compile(r"(?:systemd|libvirtd|firewalld)[\w-]*")
_ENGLISH_ENDINGS = ("s", "es", "ed", "d", "ing", "er", "ers", "ly", "ment", "ion", "ions", "'s", "al", "able")


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of one language: whole words, stems and, for unspaced scripts, the longest form's length."""

    whole: dict[str, str] = field(default_factory=dict)
    stems: dict[str, str] = field(default_factory=dict)
    longest: int = 1


@dataclass(frozen=True, slots=True)
class Gloss:
    """A folded text, the code of its language, and the text in English words as far as the lexicon knows them."""

    folded: str
    language: str
    text: str  # equal to `folded` for English and for a language without forms


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The forms of every language and the English words of the glosses."""

    languages: dict[str, Forms]
    english: frozenset[str]

    def read(self, folded: str, likely: str = ENGLISH) -> Gloss:
        """Return the language of a folded text and its gloss; `likely` is the language where its words tell nothing."""
        found = words(folded)
        code = self._language(folded, found, likely)
        forms = self.languages.get(code)
        if forms is None:
            return Gloss(folded, code, folded)
        if code in _WITHOUT_SPACES:
            return Gloss(folded, code, _gloss_unspaced(folded, forms))
        return Gloss(folded, code, " ".join(_gloss_words(found, forms, arabic=code == "ar")))

    def _language(self, folded: str, found: list[str], likely: str) -> str:
        """Return the code of the language that explains most of the words; `likely`, then English, wins a tie."""
        kind = script(folded)
        if kind != "latin":
            return kind
        # a name is the same everywhere: "riavvia libvirtd" is no English for it
        told = [word for word in found if word not in _NAMES and not _DAEMON.fullmatch(word)]
        scores = {ENGLISH: sum(_english(word, self.english) for word in told)}
        for code, forms in self.languages.items():
            if code not in _WITHOUT_SPACES and code != "ar":
                scores[code] = sum(_known(word, forms) for word in told)
        return max(scores, key=lambda code: (scores[code], code == likely))  # then the first: English

    def before(self, other: "Lexicon") -> "Lexicon":
        """Return a lexicon with the forms of both; where both know one, this one's gloss counts."""
        languages = {code: _joined(forms, other.languages[code]) for code, forms in self.languages.items()}
        return Lexicon(languages, self.english | other.english)

    def is_english(self, word: str) -> bool:
        """Return whether a folded word is a known English word, or a name that is the same everywhere."""
        return _is_english(word, self.english)

    def knows(self, word: str) -> bool:
        """Return whether a folded word is one of some language, and so hardly a misspelt name."""
        known = (word in forms.whole if "-" in word else _known(word, forms) for forms in self.languages.values())
        return _is_english(word, self.english) or any(known)


def load_lexicon(path: Path = LEXICON) -> Lexicon:
    """Read the lexicon. Raises ValueError that names the line when a row does not fit the header."""
    lines = _lines(path)
    codes = [code.strip() for code in lines[0].split("|")]
    languages = {code: Forms() for code in codes[1:]}
    english = {word for line in _lines(ENGLISH_WORDS) for word in line.split()}
    for line in lines[1:]:
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != len(codes):
            raise ValueError(f"{path.name}: {len(cells)} columns instead of {len(codes)} in the row {cells[0]!r}")
        english.update(cells[0].split())
        for code, cell in zip(codes[1:], cells[1:], strict=True):
            _add(languages[code], cells[0], cell)
    return Lexicon({code: _measured(forms) for code, forms in languages.items()}, frozenset(english))


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def _add(forms: Forms, gloss: str, cell: str) -> None:
    for form in cell.split():
        key = fold(form.replace("_", " "))
        if key == "-":
            continue
        if key.endswith("*"):
            forms.stems.setdefault(key[:-1], gloss)
        else:
            forms.whole.setdefault(key, gloss)  # the first row wins: common words come first


def _joined(first: Forms, second: Forms) -> Forms:
    return _measured(Forms({**second.whole, **first.whole}, {**second.stems, **first.stems}))


def _measured(forms: Forms) -> Forms:
    return Forms(forms.whole, forms.stems, max(len(key) for key in (*forms.whole, *forms.stems)))


def _known(word: str, forms: Forms) -> float:
    """Return how much `word` speaks for a language: a whole form 1, a stem 0.8."""
    if word in forms.whole:
        return 1.0
    return 0.8 if _by_stem(word, forms) else 0.0


def _english(word: str, english: frozenset[str]) -> float:
    """Return how much `word` speaks for English: a known word 1, one with an English ending 0.8."""
    return 1.0 if word in english else 0.8 * _is_english(word, english)


def _is_english(word: str, english: frozenset[str]) -> bool:
    """Return whether `word` or what is left of it without an English ending is a known English word."""
    if word in english or word in _NAMES:
        return True
    bare = [word.removesuffix(ending) for ending in _ENGLISH_ENDINGS if word.endswith(ending)]
    return any(stem in english or f"{stem}e" in english for stem in bare)


def _by_stem(word: str, forms: Forms) -> str:
    if word in _NAMES or not _PLAIN.fullmatch(word):
        return ""  # a product, file or host name is the same in every language
    for length in range(min(len(word), forms.longest), MIN_STEM - 1, -1):
        gloss = forms.stems.get(word[:length])
        if gloss:
            return gloss
    return ""


def _gloss_words(found: list[str], forms: Forms, *, arabic: bool) -> list[str]:
    """Replace phrases, then words, then stems; the longest phrase first."""
    result: list[str] = []
    at = 0
    while at < len(found):
        for length in range(min(MAX_PHRASE, len(found) - at), 0, -1):
            gloss = forms.whole.get(" ".join(found[at : at + length]))
            if gloss:
                result.append(gloss)
                at += length
                break
        else:
            result.append(_gloss_word(found[at], forms, arabic=arabic))
            at += 1
    return result


def _gloss_word(word: str, forms: Forms, *, arabic: bool) -> str:
    gloss = _by_stem(word, forms) or _apostrophe(word, forms)
    if not gloss and arabic:
        bare = [word.removeprefix(clitic) for clitic in _ARABIC_CLITICS if word.startswith(clitic)]
        gloss = next((forms.whole[stem] for stem in bare if stem in forms.whole), "")
    return gloss or word


def _apostrophe(word: str, forms: Forms) -> str:
    """Return the gloss of an elided word such as l'hote or dell'host, without its article."""
    head, mark, rest = word.partition("'")
    if not mark or not rest or len(head) > 5:
        return ""
    return forms.whole.get(rest) or _by_stem(rest, forms) or rest


def _gloss_unspaced(folded: str, forms: Forms) -> str:
    """Cut the longest known form at each place; what no form covers is kept together, apart from Latin names."""
    result: list[str] = []
    rest = ""
    at = 0
    while at < len(folded):
        length = next((n for n in range(forms.longest, 0, -1) if folded[at : at + n] in forms.whole), 0)
        if length:
            result += [rest, forms.whole[folded[at : at + length]]]
            rest, at = "", at + length
        else:
            rest, at = rest + folded[at], at + 1
    return " ".join(_SEAM.sub(" ", " ".join([*result, rest])).split())


# names that begin like a word of some language: OpenShift is not Dutch "open"
_NAMES = frozenset(
    """ci openshift openjdk openssh openstack opensuse opentlc openlineage disconnected registry firewalld systemctl
    hostnamectl systemd libvirtd plugin plugins vm vms centos stream rhel dag dags chat chatgpt server servers
    router container containers diagnostics deployment deploy deploying installing contributing contribution
    contributor commit commits install cluster cockpit podman docker vault ansible airflow qubinode navigator
    portal network firewall processes process services service os ps aux top ram cpu uptime bitcoin pizza
    hacktoberfest jailbreak discord slack aap adr adrs airflint almalinux anthropic aws bashoperator buildah
    chromadb dhcp diataxis dnf dns dockerfile epel equinix faiss fastapi fastmcp fedora freeipa gcc gcp git
    github gitlab gitleaks gpu grub hashicorp hetzner icmp jekyll jfrog json kcli kerberos ksm kubeconfig
    kubernetes kvm langchain ldap leapp libvirt litellm llm localhost lvm marquez mcp mdformat nginx ollama
    onedev openai openrouter ovirt pgvector postgresql proxmox pydanticai pytorch qdrant qemu selinux
    shellcheck skopeo sno ssh sshd tls ubi ubuntu virsh virtqemud vmware vyos xfs xrdp yaml""".split()
)
