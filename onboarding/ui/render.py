"""A turn as HTML, part by part. Pure functions; everything foreign goes through `Markup.format` or `to_html`.

A part is a string that the page puts into a slot of its own (static/transcript.js). While an answer streams only the
slot that changed is touched, so an opened source stays open and nothing above the new words moves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from markupsafe import Markup, escape

from model.events import Notice, Prefill, Queued, RouteChosen, TurnFinished
from onboarding.ui.markdown import Link, safe_url, to_html
from onboarding.ui.turns import Step, Turn
from rag.types import Passage, SearchResult

SHOWN_SOURCES = 3  # more are one click away: five cards push the answer off a phone's screen
MAX_RESULT = 6_000  # characters of a tool's result that are worth sending to a page
UNSURE = 0.5  # below this the route is shown with a question mark

REASONS = {
    "length": "The answer reached its length limit.",
    "deadline": "Time ran out before the answer was finished.",
    "cancelled": "Stopped.",
}


class RouteText(Protocol):
    """What the page reads of a route: `onboarding.guide.RouteText`."""

    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def starters(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def follow_ups(self) -> tuple[str, ...]: ...  # noqa: D102


Routes = Mapping[str, RouteText]


def turn_parts(turn: Turn, routes: Routes, *, last: bool) -> dict[str, str]:
    """Every slot of a turn by name; an empty string leaves its slot empty. Only the last turn offers actions."""
    return {
        "question": str(question(turn, last=last)),
        "route": str(route(turn, routes, last=last) + tally(turn.found)),
        "steps": str(Markup("").join(map(step, turn.steps))),
        "evidence": str(evidence(turn)),
        "answer": str(answer(turn)),
        "notices": str(notices(turn)),
        "meta": str(meta(turn, last=last)),
        "next": str(follow_ups(turn, routes)) if last else "",
    }


def question(turn: Turn, *, last: bool) -> Markup:
    """What the visitor asked, as typed."""
    edit = Markup('<button type="button" class="quiet" data-act="edit">Edit</button>')
    html = '<div class="asked" dir="auto">{}</div>{}'
    return Markup(html).format(turn.question, edit if last and not turn.running else "")


def route(turn: Turn, routes: Routes, *, last: bool) -> Markup:
    """The route as a chip; on the last turn a menu of the others, each of which asks again."""
    if turn.route is None:
        return Markup('<span class="chip pending">Choosing a topic</span>') if turn.running else Markup("")
    label = _route_label(turn.route)
    if not last or turn.running:
        return Markup('<span class="chip" title="{}">{}</span>').format(_route_hint(turn.route), label)
    choices = Markup("").join(
        Markup('<button type="button" role="menuitem" data-act="route" data-route="{}"{}>{}</button>').format(
            name, Markup(' aria-current="true"') if name == turn.route.name else "", text.label
        )
        for name, text in routes.items()
        if text.starters
    )
    html = (
        '<details class="menu"><summary class="chip" title="{}">{}<span class="change">change</span></summary>'
        '<div class="sheet" role="menu" aria-label="Answer again as"><p>Answer again as</p>{}</div></details>'
    )
    return Markup(html).format(_route_hint(turn.route), label, choices)


def _route_label(chosen: RouteChosen) -> Markup:
    unsure = "?" if chosen.confidence < UNSURE else ""
    return Markup('<span class="as">Answered as</span> {}{}').format(chosen.label, unsure)


def _route_hint(chosen: RouteChosen) -> str:
    return "your choice" if chosen.overridden else f"chosen with confidence {chosen.confidence:.2f}"


def tally(found: SearchResult | None) -> Markup:
    """How many sources came how fast; retrieval is what makes waiting for the model bearable."""
    if found is None or not found.passages:
        return Markup("")
    count = f"{len(found.passages)} sources" if len(found.passages) > 1 else "1 source"
    return Markup('<span class="tally">{}{}</span>').format(count, f" in {found.ms:.0f} ms" if found.ms else "")


def evidence(turn: Turn) -> Markup:
    """The instant extract and the sources; nothing when the corpus does not hold the answer."""
    if not turn.sources:
        return Markup("")
    return Markup("{}{}").format(_extract(turn), sources(turn.sources))


def _extract(turn: Turn) -> Markup:
    """What answers by itself; left out where the answer begins with it anyway."""
    text = turn.found.extract.strip() if turn.found else ""
    if not text or turn.text.lstrip().startswith(text):
        return Markup("")
    html = '<blockquote class="extract"><p class="from">Straight from the pages</p>{}</blockquote>'
    return Markup(html).format(to_html(text, source_links(turn.sources)))


def sources(passages: Sequence[Passage]) -> Markup:
    """The numbered sources with the sentence that matters; those past the third are folded."""
    cards = [_card(number, passage) for number, passage in enumerate(passages, 1)]
    shown, folded = cards[:SHOWN_SOURCES], cards[SHOWN_SOURCES:]
    html = Markup('<ol class="sources">{}</ol>').format(Markup("").join(shown))
    if not folded:
        return html
    more = '{}<details class="more"><summary>{} more</summary><ol class="sources" start="{}">{}</ol></details>'
    return Markup(more).format(html, len(folded), SHOWN_SOURCES + 1, Markup("").join(folded))


def _card(number: int, passage: Passage) -> Markup:
    where = " › ".join(heading for heading in passage.headings if heading != passage.title)
    quote = Markup('<q dir="auto">{}</q>').format(passage.excerpt) if passage.excerpt else ""
    html = (
        '<li class="source" data-n="{}"><span class="number" aria-hidden="true">{}</span>'
        '<div><p class="title">{}<span class="where">{}</span></p>{}</div></li>'
    )
    return Markup(html).format(number, number, _source_link(passage), where, quote)


def _source_link(passage: Passage) -> Markup:
    if not safe_url(passage.url):
        return Markup("<span>{}</span>").format(passage.title)
    html = '<a href="{}" target="_blank" rel="noopener noreferrer" title="{}">{}</a>'
    return Markup(html).format(passage.url, _place(passage), passage.title)


def _place(passage: Passage) -> str:
    first, last = passage.lines
    return f"{passage.path}, lines {first}-{last}" if last else passage.path


def source_links(passages: Iterable[Passage]) -> dict[int, Link]:
    """What `[n]` may link to."""
    return {number: Link(safe_url(p.url), p.title) for number, p in enumerate(passages, 1)}


def step(step: Step) -> Markup:
    """A tool call with arguments and result; every host here is simulated, and says so."""
    state = "running" if step.result is None else "ok" if step.result.success else "failed"
    took = f"{step.result.execution_time:.2f} s" if step.result else "running"
    html = (
        '<details class="step {state}"><summary><span class="badge">Simulated</span> <code>{call}</code>'
        ' <span class="host">on {host}</span> <span class="took">{took}</span></summary>{result}</details>'
    )
    call = f"{step.call.tool}({', '.join(f'{key}={_json(value)}' for key, value in step.call.arguments.items())})"
    return Markup(html).format(state=state, call=call, host=step.call.host, took=took, result=_result(step))


def _result(step: Step) -> Markup:
    if step.result is None:
        return Markup("")
    if step.result.error:
        return Markup('<p class="fault">{}</p>').format(step.result.error)
    text = json.dumps(step.result.data, indent=2, ensure_ascii=False, default=str)
    cut = f"\n… {len(text) - MAX_RESULT} more characters" if len(text) > MAX_RESULT else ""
    return Markup('<pre tabindex="0">{}{}</pre>').format(text[:MAX_RESULT], cut)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def answer(turn: Turn) -> Markup:
    """The text so far, and what is being waited for: before the text, or below it when more is being read."""
    wait = progress(turn) if turn.running and (turn.progress or not turn.text) else Markup("")
    if not turn.text:
        return wait
    nearest = turn.found.nearest if turn.found and not turn.sources else []
    text = to_html(turn.text, source_links(turn.sources), [passage.url for passage in nearest])
    state = "streaming" if turn.running and not wait else ""
    return Markup('<div class="text {}">{}</div>{}').format(state, text, wait)


def progress(turn: Turn) -> Markup:
    """One line and one bar for the time before the first token."""
    match turn.progress:
        case Queued(ahead, eta_s):
            return _bar(f"{_people(ahead)} ahead of you, {_about(eta_s)}", None)
        case Prefill(done, total, eta_s) if done < total:
            return _bar(f"reading {done} of {total} tokens, {_about(eta_s)}", done / max(total, 1))
        case Prefill():
            return _bar("writing", 1.0)
    return _bar("looking for sources" if turn.found is None else "preparing the prompt", None)


def _bar(text: str, share: float | None) -> Markup:
    """`share` is 0..1, None when unknown."""
    if share is None:
        return Markup('<div class="progress"><span>{}</span><i class="bar unknown"></i></div>').format(text)
    html = (
        '<div class="progress"><span>{}</span><i class="bar" role="progressbar" aria-label="Reading the prompt"'
        ' aria-valuemin="0" aria-valuemax="100" aria-valuenow="{}"><b style="width:{}%"></b></i></div>'
    )
    percent = round(100 * min(max(share, 0.0), 1.0))
    return Markup(html).format(text, percent, percent)


def _people(ahead: int) -> str:
    return {0: "nobody", 1: "1 question"}.get(ahead, f"{ahead} questions")


def _about(seconds: float) -> str:
    return f"~{max(1, round(seconds))} s left" if seconds < 90 else f"~{round(seconds / 60)} min left"


def notices(turn: Turn) -> Markup:
    """What the visitor should know about this answer."""
    said = list(turn.notices)
    if turn.failure:
        said.append(Notice(turn.failure, "error"))
    elif turn.finished and turn.finished.reason == "error" and not any(n.kind == "error" for n in said):
        said.append(Notice("The answer broke off; ask again.", "error"))
    elif turn.stopped or (turn.finished and turn.finished.reason in REASONS):
        said.append(Notice(REASONS[turn.finished.reason] if turn.finished else REASONS["cancelled"]))
    return Markup("").join(Markup('<p class="notice {}">{}</p>').format(n.kind, n.text) for n in said)


def meta(turn: Turn, *, last: bool) -> Markup:
    """The quiet line: what it took, and what can be done with the answer."""
    if turn.running:
        return Markup("")
    copy = Markup('<button type="button" class="quiet" data-act="copy">Copy</button>') if turn.text else ""
    again = Markup('<button type="button" class="quiet" data-act="retry">Retry</button>') if last else ""
    return Markup('<span class="actions">{}{}</span><span class="figures">{}</span>').format(
        copy, again, figures(turn.finished) if turn.finished else ""
    )


def figures(finished: TurnFinished) -> str:
    """Seconds to the first token, tokens per second and the model, as far as they are known."""
    timings, counts = finished.timings, finished.counts
    said = []
    if timings.first_token_s is not None:
        said.append(f"{timings.first_token_s:.1f} s to first token")
    if rate := timings.tokens_per_s(counts.generated):
        said.append(f"{rate:.1f} tokens/s")
    if finished.model:
        said.append(finished.model)
    return " · ".join(said)


def follow_ups(turn: Turn, routes: Routes) -> Markup:
    """Questions that may come next; they are written down beforehand and cost no tokens."""
    if turn.running or turn.route is None or turn.route.name not in routes:
        return Markup("")
    texts = [text for text in routes[turn.route.name].follow_ups if text.casefold() != turn.question.casefold()]
    return Markup("").join(_ask_button(text, "follow-up") for text in texts)


def starters(routes: Routes, drawing: str = "") -> Markup:
    """The empty state: what one can ask here, by route; `drawing` is the page's own SVG."""
    groups = Markup("").join(
        Markup("<section><h3>{}</h3>{}</section>").format(
            text.label, Markup("").join(_ask_button(starter, "starter") for starter in text.starters[:2])
        )
        for text in routes.values()
        if text.starters
    )
    html = '{}<h2>What do you want to set up?</h2><p class="lead">{}</p><div class="starters">{}</div>'
    lead = "The pages that answer come first, quoted and linked. The model's words come after, with their sources."
    return Markup(html).format(Markup(drawing), lead, groups)


def _ask_button(text: str, kind: str) -> Markup:
    html = '<button type="button" class="{}" data-act="ask" data-text="{}" dir="auto">{}</button>'
    return Markup(html).format(kind, text, text)


def hint(text: str = "", kind: str = "") -> str:
    """The line under the composer: how to use it, or why it refused."""
    if text:
        return str(Markup('<p class="hint {}" role="alert">{}</p>').format(kind, text))
    keys = "<kbd>Enter</kbd> sends · <kbd>Shift</kbd>+<kbd>Enter</kbd> new line · <kbd>Esc</kbd> stops"
    return f'<p class="hint"><span class="keys">{keys}</span></p>'


def spoken(turn: Turn | None) -> str:
    """What a screen reader is told; changes seldom, so that streaming does not chatter."""
    if turn is None:
        return ""
    said = {
        "searching": "Looking for sources.",
        "waiting": "Waiting in the queue.",
        "reading": f"{len(turn.sources)} sources found. The model is reading.",
        "writing": "The model is writing.",
        "stopped": "Stopped.",
        "failed": turn.failure or "The answer failed.",
        "done": f"Answer: {turn.text}",
    }
    return str(escape(said[turn.phase]))
