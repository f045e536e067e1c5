"""Renders untrusted Markdown as safe HTML.

The model's text and the corpus's excerpts are untrusted: raw HTML in them shows as text, an image as its
description, a link as its words. The only live links are `[n]` for a source of the answer and a link to exactly such
a source's address. A terminal escape that Markdown alone puts together loses its effect. `nh3` (ammonia) then removes
everything that is not on a short list, in case the parser errs. Does not judge what the text says.

What a text costs is bounded: only the LANGUAGES are coloured, a thousand characters of a block and four thousand of a
text; a paragraph over MAX_INLINE characters shows as typed; tables share MAX_CELLS. Every grammar and parser here has
inputs on which it takes quadratic time, so length is what holds.

Where the text has a PLACE, an `Insert` of the page's own stands: within the line, or as a block, which parts a
paragraph in two and follows a heading, a table or a block of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from model.checking.gate import PLACE
from model.checking.terminal_escapes import TerminalEscapes
from model.prompting.plain_text import plain
from onboarding.ui.kit.markup import fill, trusted

CITATION = re.compile(r"\[(\d{1,2})\]")
DRAWN = '<div class="answer"><div class="text">{}</div></div>'  # around foreign text outside the chat, to look as there
LANGUAGES = frozenset(
    (
        "bash",
        "sh",
        "shell",
        "yaml",
        "json",
        "python",
        "ini",
        "toml",
        "dockerfile",
        "diff",
        "xml",
        "nginx",
        "jinja",
        "sql",
    )
)
MAX_HIGHLIGHTED = 1_000  # characters of a block; a longer one is shown plain
MAX_COLOURED = 4_000  # characters of a text's blocks together
MAX_INLINE = 4_000  # characters of a paragraph, a heading or a cell
MAX_CELLS = 2_000  # of a text's tables together; a table takes as many as its rows have columns, written or not
BLOCKS = ("paragraph_open", "heading_open", "blockquote_open", "list_item_open", "th_open", "td_open")

TAGS = {
    *(
        "p",
        "br",
        "hr",
        "em",
        "strong",
        "s",
        "blockquote",
        "ul",
        "ol",
        "li",
        "code",
        "pre",
        "span",
        "div",
        "button",
        "a",
        "b",
        "details",
        "summary",
    ),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    "*": {"class", "dir"},
    "a": {"href", "title", "target", "data-n"},
    "button": {"type", "data-act"},
    "pre": {"tabindex"},
    "span": {"title"},
    "ol": {"start"},
    "th": {"style"},
    "td": {"style"},
}


@dataclass(frozen=True, slots=True)
class Link:
    """The source that a citation leads to."""

    url: str  # "" when the source has no public address
    title: str


@dataclass(frozen=True, slots=True)
class Insert:
    """The HTML that stands at a PLACE; a block stands between paragraphs, never in a line."""

    html: Markup
    block: bool = False


def safe_url(url: str) -> str:
    """Return the address when it is a web address with a host, otherwise ""."""
    try:
        parts = urlsplit(url)
    except ValueError:  # e.g. a bracket that opens an IPv6 address and never closes
        return ""
    return url if parts.scheme in {"http", "https"} and parts.netloc else ""


def to_html(
    text: str, links: Mapping[int, Link] | None = None, urls: Iterable[str] = (), inserts: Iterable[Insert] = ()
) -> Markup:
    """Return `text` as HTML; `[n]` becomes a link where `links` has n, every other active part becomes inert.

    urls: further addresses that a link in `text` may lead to. inserts: what stands at each PLACE, in order; those
    without a place follow the text, and a PLACE without an insert goes.
    """
    links = links or {}
    allowed = {url for url in (*urls, *(link.url for link in links.values())) if safe_url(url)}
    env = {"links": links, "urls": allowed, "text": text, "inserts": list(inserts)}
    return trusted(_clean(_parser().render(plain(text), env)))


def inline_html(text: str) -> Markup:
    """Return one line of untrusted Markdown as HTML without paragraphs, links or citations, for an excerpt."""
    return trusted(
        _clean(_parser().renderInline(plain(text), {"links": {}, "urls": set(), "text": text, "inserts": []}))
    )


def _clean(html: str) -> str:
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        link_rel="noopener noreferrer",
        url_schemes={"http", "https"},
        filter_style_properties={"text-align"},
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.disable("reference")  # "[1]: https://elsewhere" must not redefine a citation
    parser.inline.ruler.before("link", "citation", _citation)
    parser.core.ruler.at("inline", _parse_lines)
    parser.block.ruler.at("table", _small_table, {"alt": ["paragraph", "reference"]})
    parser.core.ruler.push("inert", _make_inert)
    parser.core.ruler.push("places", _fill_places)
    for name, rule in (
        ("citation", _render_citation),
        ("fence", _render_code),
        ("code_block", _render_code),
        ("insert", _render_insert),
    ):
        parser.add_render_rule(name, rule)
    return parser


def _parse_lines(state: StateCore) -> None:
    """Parse what stands in each line, except in one that is too long for it."""
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = token.children or []
        if len(token.content) > MAX_INLINE:
            token.children.append(Token("text", "", 0, content=token.content))
        else:
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _small_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Recognise a table as far as its text may have cells; the rest of its rows are lines of a paragraph."""
    if start + 2 > end:
        return False
    columns = max(1, state.getLines(start + 1, start + 2, 0, False).count("|"))
    left = MAX_CELLS - state.env.get("cells", 0)
    rows = left // columns
    if rows < 1 or not table(state, start, min(end, start + 1 + rows), silent):
        return False
    state.env["cells"] = state.env.get("cells", 0) + columns * (state.line - start)
    return True


def _citation(state: StateInline, silent: bool) -> bool:
    """Parse `[n]` for a known n; leave "[n](" to the link rule, which makes it plain words."""
    match = CITATION.match(state.src, state.pos)
    if not match or int(match[1]) not in state.env["links"] or state.src[match.end() : match.end() + 1] == "(":
        return False
    if not silent:
        if state.pending.endswith(" "):
            state.pending = state.pending[:-1] + "\N{NO-BREAK SPACE}"  # the number never opens a line
        state.push("citation", "", 0).meta = {"n": int(match[1])}
    state.pos = match.end()
    return True


def _make_inert(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in BLOCKS:
            token.attrSet("dir", "auto")  # a right-to-left paragraph keeps its direction among others
        if token.children:
            children = [_inert(child) for child in _without_foreign_links(token.children, state.env["urls"])]
            token.children = _without_new_escapes(children, state.env["text"])


def _without_new_escapes(tokens: list[Token], text: str) -> list[Token]:
    r"""Return the tokens, or one plain text where emphasis, entities and backslashes together spell a terminal escape.

    The answer filter judged the escapes that stand in `text` while it streamed; \x1*b*[2J does not stand there, yet a
    visitor who copies it from the page gets one.
    """
    seen = "".join("\n" if token.type in {"softbreak", "hardbreak"} else token.content for token in tokens)
    escapes = TerminalEscapes([text])
    left = escapes.feed(seen) + escapes.flush()
    return tokens if left == seen else [Token("text", "", 0, content=left)]


def _without_foreign_links(tokens: Sequence[Token], urls: set[str]) -> list[Token]:
    kept: list[Token] = []
    live = False  # links do not nest in CommonMark
    for token in tokens:
        if token.type == "link_open":
            live = str(token.attrGet("href") or "") in urls
            token.attrs = {"href": token.attrs["href"], "target": "_blank"} if live else {}
        if token.type not in {"link_open", "link_close"} or live:
            kept.append(token)
    return kept


def _inert(token: Token) -> Token:
    """Return an image as its description, any other token as it is."""
    return Token("text", "", 0, content=token.content or "image") if token.type == "image" else token


def _fill_places(state: StateCore) -> None:
    """Put the inserts at their places; a block that cannot stand there follows what it stands in."""
    waiting = map(_insert, state.env["inserts"])
    out: list[Token] = []
    behind: list[Token] = []  # the blocks that follow the heading, table or code under way
    parted = False  # the paragraph under way was parted and is closed
    for token in state.tokens:
        if token.type == "paragraph_close" and parted:
            parted = False
            continue
        parts = _parts(token, waiting) if _has_place(token) else []
        if parts and out and out[-1].type == "paragraph_open":
            out += _paragraphs(out.pop(), token, parts)
            parted = True
            continue
        if parts:
            inline = token.children is not None
            token.children = [part for part in parts if not _is_block(part)] if inline else None
            token.content = token.content.replace(PLACE, "")
            behind += [part for part in parts if _is_block(part) or (not inline and part is not token)]
        out.append(token)
        if token.type in ("heading_close", "table_close", "fence", "code_block"):
            out, behind = out + behind, []
    state.tokens = [*out, *behind, *waiting]


def _has_place(token: Token) -> bool:
    return PLACE in token.content or any(PLACE in child.content for child in token.children or ())


def _is_block(token: Token) -> bool:
    return token.type == "insert" and token.block


def _insert(insert: Insert) -> Token:
    return Token("insert", "", 0, meta={"html": insert.html}, block=insert.block)


def _parts(token: Token, waiting: Iterator[Token]) -> list[Token]:
    """Return the children of a token with the inserts of their places between them."""
    parts: list[Token] = []
    for child in [token] if token.children is None else token.children:
        first, *rest = child.content.split(PLACE)
        if child.type == "text":
            parts.append(Token("text", "", 0, content=first))
            for words in rest:
                parts += [*islice(waiting, 1), Token("text", "", 0, content=words)]
        else:
            child.content = first + "".join(rest)
            parts += [child, *islice(waiting, len(rest))]
    return parts


def _paragraphs(opening: Token, inline: Token, parts: Sequence[Token]) -> list[Token]:
    """Return a paragraph in parts, a block between two where no emphasis is open."""
    out: list[Token] = []
    line: list[Token] = []
    blocks: list[Token] = []
    depth = 0

    def close() -> None:
        if any(part.type not in ("softbreak", "text") or part.content.strip() for part in line):
            closing = Token("paragraph_close", "p", -1, block=True, hidden=opening.hidden)
            out.extend([opening.copy(), inline.copy(children=list(line)), closing])
        line.clear()

    for part in parts:
        depth += part.nesting
        (blocks if _is_block(part) else line).append(part)
        if blocks and depth == 0:
            close()
            out += blocks
            blocks = []
    close()
    return out + blocks


def _render_insert(
    _: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: MutableMapping[str, Any]
) -> str:
    return str(tokens[at].meta["html"])


def _render_citation(
    _: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    number = tokens[at].meta["n"]
    return citation(number, env["links"][number])


def citation(number: int, link: Link) -> Markup:
    """Return the small raised number that leads to a source."""
    if not safe_url(link.url):
        return fill('<span class="cite" title="{}">{}</span>', link.title, number)
    html = '<a class="cite" data-n="{}" href="{}" target="_blank" title="{}">{}</a>'
    return fill(html, number, link.url, link.title, number)


def _render_code(
    _: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    code, info = tokens[at].content, tokens[at].info.split()
    env["coloured"] = env.get("coloured", 0) + len(code)
    return code_block(code, info[0] if info and env["coloured"] <= MAX_COLOURED else "")


def code_block(code: str, language: str = "") -> Markup:
    """Return a code block with a copy button, highlighted when it is short and in one of LANGUAGES."""
    button = '<button type="button" class="copy-code" data-act="copy-code">Copy</button>'
    html = '<div class="code" dir="ltr">' + button + '<pre tabindex="0"><code>{}</code></pre></div>\n'
    return fill(html, _coloured(code.rstrip("\n"), language))


def _coloured(code: str, language: str) -> Markup:
    if language.lower() not in LANGUAGES or len(code) > MAX_HIGHLIGHTED:
        return escape(code)
    return trusted(highlight(code, _lexer(language.lower()), HtmlFormatter(nowrap=True)).rstrip("\n"))


@cache
def _lexer(language: str) -> Any:
    return get_lexer_by_name(language, stripnl=False)
