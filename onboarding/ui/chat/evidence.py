"""Draws the evidence of an answer as HTML: the instant extract, the numbered sources, the tool calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from onboarding.assistant.turns import ToolStep, Turn
from onboarding.ui.kit.languages import ENGLISH, Translator
from onboarding.ui.kit.markdown import Link, inline_html, safe_url, to_html
from onboarding.ui.kit.markup import fill, join
from rag.reading.links import UPSTREAM_COMMIT, UPSTREAM_DATE
from rag.types import Passage, SearchResult

SHOWN_SOURCES = 3  # more are one click away: five cards push the answer off a phone's screen
FLAG = Markup('<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4 14.5v-13M4 2.5h8.5L10.2 6l2.3 3.5H4"/></svg>')
CITATIONS = re.compile(r"\s*\[\d{1,2}\]")
MAX_RESULT = 6_000  # characters of a tool's result that are worth sending to a page


def tally(found: SearchResult | None, translate: Translator = ENGLISH) -> Markup:
    """Return how many sources retrieval found and how fast; "" without sources."""
    if found is None or not found.passages:
        return Markup("")
    count = translate.count("source", len(found.passages))
    said = translate("in_ms", sources=count, ms=round(found.ms)) if found.ms else count
    return fill('<span class="tally">{}</span>', said)


def evidence(turn: Turn, translate: Translator = ENGLISH) -> Markup:
    """Return the instant extract and the sources; "" when the corpus does not hold the answer.

    Where they are only near, the sentence that says so comes first and the extract is drawn as one that may not answer.
    """
    if not turn.found or not turn.sources:
        return Markup("")
    quoted = split_quote(turn)[0] or turn.found.extract.strip()
    html = '<blockquote class="extract{}"><p class="from">{}</p>{}</blockquote>'
    words = to_html(quoted, source_links(turn.sources))
    state = " near" if turn.near else ""
    extract = fill(html, state, _origin(turn.sources[0], translate), words) if quoted else Markup("")
    near = fill('<p class="near" dir="auto">{}</p>', turn.near) if turn.near else Markup("")
    return near + extract + sources(turn.sources, translate, judged=True) + differences(turn.found, translate)


def _origin(lead: Passage, translate: Translator) -> str:
    """Say whose words are quoted and, for our own pages, which state of upstream they were held against."""
    if not lead.reviewed:
        return translate("from_upstream")
    held = translate("held_against", commit=UPSTREAM_COMMIT[:8], date=UPSTREAM_DATE) if lead.sources else ""
    return " · ".join(filter(None, [translate("from_the_pages"), held]))


def differences(found: SearchResult, translate: Translator = ENGLISH) -> Markup:
    """Return where upstream's own files say otherwise than the pages that are quoted; "" where none does."""
    html = '<aside class="differs"><p class="small">{}</p><ul>{}</ul></aside>'
    row = '<li><a href="{}" target="_blank" rel="noopener noreferrer">{}</a> {}</li>'
    rows = [fill(row, safe_url(other.url), other.path, inline_html(other.says)) for other in found.differs]
    return fill(html, translate("differs"), join(rows)) if rows else Markup("")


def split_quote(turn: Turn) -> tuple[str, str]:
    """Return the answer as (what it quotes at its beginning, the model's own words).

    A stand-in's answer begins with the extract; the page shows that part as a quote, so that nobody takes it for the
    model's own words. The sentence that nothing was found about something stands above the quote, and in neither part.
    """
    extract = turn.found.extract.strip() if turn.found else ""
    text = turn.text.removeprefix(turn.near).lstrip()
    if not extract or not text.startswith(extract):
        return "", text if turn.near else turn.text
    end = len(extract)
    while number := CITATIONS.match(text, end):
        end = number.end()
    return text[:end], text[end:].lstrip()


def sources(passages: Sequence[Passage], translate: Translator = ENGLISH, *, judged: bool = False) -> Markup:
    """Return the numbered sources with their excerpts; those past the third lie behind a fold.

    judged: the sources are an answer's, so each gets a button that reports it.
    """
    cards = [
        _card(number, passage, translate, _report(number, translate) if judged else Markup(""))
        for number, passage in enumerate(passages, 1)
    ]
    shown, folded = cards[:SHOWN_SOURCES], cards[SHOWN_SOURCES:]
    html = fill('<ol class="sources">{}</ol>', join(shown))
    if not folded:
        return html
    more = '{}<details class="more"><summary>{}</summary><ol class="sources" start="{}">{}</ol></details>'
    return fill(more, html, translate("more", n=len(folded)), SHOWN_SOURCES + 1, join(folded))


def _card(number: int, passage: Passage, translate: Translator, report: Markup) -> Markup:
    *outer, name = [passage.title, *(heading for heading in passage.headings if heading != passage.title)]
    said = " · ".join(cell.strip() for cell in passage.excerpt.strip("|").split("|"))  # a row without its pipes
    quote = fill('<div class="quote" dir="auto">{}</div>', inline_html(said)) if said else ""
    html = (
        '<li class="source" data-n="{0}"><span class="number" aria-hidden="true">{0}</span>'
        '<div><p class="title">{1}{2}<span class="where">{3}</span></p>{4}</div>{5}</li>'
    )
    mark = Markup("") if passage.reviewed else fill('<span class="unreviewed">{}</span>', translate("unreviewed"))
    return fill(html, number, _source_link(passage, name, translate), mark, " › ".join(outer), quote, report)


def _report(number: int, translate: Translator) -> Markup:
    """Return the button that opens the dialog of static/feedback.js; the style sheet hides it without that script."""
    html = (
        '<button type="button" class="quiet report" data-feedback="source" aria-label="{0}: {1}" title="{0}">'
        "{2}</button>"
    )
    return fill(html, translate("feedback_source"), number, FLAG)


def _source_link(passage: Passage, name: str, translate: Translator) -> Markup:
    """Return the innermost heading as the link: several sources are often parts of one page."""
    if not safe_url(passage.url):
        return fill("<span>{}</span>", name)
    html = '<a href="{}" target="_blank" rel="noopener noreferrer" title="{}">{}</a>'
    return fill(html, passage.url, _place(passage, translate), name)


def _place(passage: Passage, translate: Translator) -> str:
    first, last = passage.lines
    return translate("lines", path=passage.path, first=first, last=last) if last else passage.path


def sources_markdown(passages: Iterable[Passage]) -> str:
    """Return the sources as a numbered Markdown list, for an export."""
    return "\n".join(f"{n}. {p.title} {safe_url(p.url)}".rstrip() for n, p in enumerate(passages, 1))


def source_links(passages: Iterable[Passage]) -> dict[int, Link]:
    """Return the links of the citations: n -> the nth source."""
    return {number: Link(safe_url(passage.url), passage.title) for number, passage in enumerate(passages, 1)}


def step(step: ToolStep, translate: Translator = ENGLISH) -> Markup:
    """Return a tool call with its arguments and result, marked as simulated."""
    state = "running" if step.result is None else "ok" if step.result.success else "failed"
    html = (
        '<details class="step {state}"><summary data-more="{more}" data-less="{less}">'
        '<span class="badge">{badge}</span> <code>{call}</code> <span class="host">{host}</span> '
        '<span class="took">{took}</span></summary>{result}</details>'
    )
    arguments = ", ".join(f"{key}={_json(value)}" for key, value in step.call.arguments.items())
    took = _seconds(step.result.execution_time) if step.result else translate("running")
    call = f"{step.call.tool}({arguments})"
    said = {"more": translate("result"), "less": translate("close_result"), "badge": translate("simulated")}
    host = translate("on_host", host=step.call.host)
    return fill(html, state=state, call=call, host=host, took=took, result=_result(step), **said)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(1, round(1000 * seconds))} ms"


def _result(step: ToolStep) -> Markup:
    if step.result is None:
        return Markup("")
    if step.result.error:
        return fill('<p class="fault">{}</p>', step.result.error)
    text = json.dumps(step.result.data, indent=2, ensure_ascii=False, default=str)
    cut = f"\n… {len(text) - MAX_RESULT} more characters" if len(text) > MAX_RESULT else ""
    return fill('<pre tabindex="0">{}{}</pre>', text[:MAX_RESULT], cut)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
