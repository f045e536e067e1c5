"""A turn as HTML, part by part. Pure functions; everything foreign goes through `fill` or `to_html`.

A part is a string that the page puts into a slot of its own (static/transcript.js). While an answer streams only the
slot that changed is touched, so an opened source stays open and nothing above the new words moves.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from model.briefs import RouteText
from model.events import Notice, Prefill, Queued, RouteChosen, TurnFinished
from onboarding.ui.evidence import evidence, source_links, split_quote, step, tally
from onboarding.ui.markdown import to_html
from onboarding.ui.markup import fill, join
from onboarding.ui.turns import Turn

SHOWN_NOTICES = 2  # a rambling model earns a remark per sentence
UNSURE = 0.5  # below this the route is shown with a question mark

REASONS = {
    "length": "The answer reached its length limit.",
    "deadline": "Time ran out before the answer was finished.",
    "cancelled": "Stopped.",
}

Routes = Mapping[str, RouteText]


def turn_parts(turn: Turn, routes: Routes, *, last: bool) -> dict[str, str]:
    """Every slot of a turn by name; an empty string leaves its slot empty. Only the last turn offers actions."""
    parts = {
        "question": question(turn, last=last),
        "route": route(turn, routes, last=last) + tally(turn.found),
        "steps": join(map(step, turn.steps)),
        "evidence": evidence(turn),
        "answer": answer(turn),
        "notices": notices(turn),
        "meta": meta(turn, last=last),
        "next": follow_ups(turn, routes) if last else Markup(""),
    }
    return {name: str(part) for name, part in parts.items()}


def question(turn: Turn, *, last: bool) -> Markup:
    """What the visitor asked, as typed."""
    edit = Markup('<button type="button" class="quiet" data-act="edit">Edit</button>')
    html = '<div class="asked" dir="auto">{}</div>{}'
    return fill(html, turn.question, edit if last and not turn.running else "")


def route(turn: Turn, routes: Routes, *, last: bool) -> Markup:
    """The route as a chip; on the last turn a menu of the others, each of which asks again."""
    if turn.route is None:
        return Markup('<span class="chip pending">Choosing a topic</span>') if turn.running else Markup("")
    unsure = "?" if turn.route.confidence < UNSURE else ""
    label = fill('<span class="as">Answered as</span> {}{}', turn.route.label, unsure)
    if not last or turn.running:
        return fill('<span class="chip" title="{}">{}</span>', _how_sure(turn.route), label)
    html = (
        '<details class="menu"><summary class="chip" title="{}">{}<span class="change">change</span></summary>'
        '<div class="sheet" role="menu" aria-label="Answer again as"><p>Answer again as</p>{}</div></details>'
    )
    return fill(html, _how_sure(turn.route), label, _other_routes(turn.route.name, routes))


def _how_sure(chosen: RouteChosen) -> str:
    return "your choice" if chosen.overridden else f"chosen with confidence {chosen.confidence:.2f}"


def _other_routes(current: str, routes: Routes) -> Markup:
    html = '<button type="button" role="menuitem" data-act="route" data-route="{}"{}>{}</button>'
    mark = Markup(' aria-current="true"')
    offered = {name: text for name, text in routes.items() if text.starters}
    return join(fill(html, name, mark if name == current else "", text.label) for name, text in offered.items())


def answer(turn: Turn) -> Markup:
    """The text so far, and what is being waited for: before the text, or below it when more is being read."""
    words = split_quote(turn)[1]
    wait = progress(turn) if turn.running and (turn.progress or not words) else Markup("")
    if not words:
        return wait
    nearest = turn.found.nearest if turn.found and not turn.sources else []
    text = to_html(words, source_links(turn.sources), [passage.url for passage in nearest])
    state = "streaming" if turn.running and not wait else ""
    return fill('<div class="text {}">{}</div>{}', state, text, wait)


def progress(turn: Turn) -> Markup:
    """One line and one bar for the time before the first token."""
    match turn.progress:
        case Queued(ahead, eta_s):
            return _bar(f"{_people(ahead)} ahead of you, {_about(eta_s)}", None)
        case Prefill(done, total, eta_s) if done < total:
            return _bar(f"reading {done} of {total} tokens, {_about(eta_s)}", done / max(total, 1))
        case Prefill():
            return _bar("writing", 1.0)
    return _bar("preparing the prompt" if turn.found or turn.steps else "looking for sources", None)


def _bar(text: str, share: float | None) -> Markup:
    """`share` is 0..1, None when unknown."""
    if share is None:
        return fill('<div class="progress"><span>{}</span><i class="bar unknown"></i></div>', text)
    html = (
        '<div class="progress"><span>{0}</span><i class="bar" role="progressbar" aria-label="Reading the prompt"'
        ' aria-valuemin="0" aria-valuemax="100" aria-valuenow="{1}"><b style="width:{1}%"></b></i></div>'
    )
    return fill(html, text, round(100 * min(max(share, 0.0), 1.0)))


def _people(ahead: int) -> str:
    return {0: "nobody", 1: "1 question"}.get(ahead, f"{ahead} questions")


def _about(seconds: float) -> str:
    return f"~{max(1, round(seconds))} s left" if seconds < 90 else f"~{round(seconds / 60)} min left"


def notices(turn: Turn) -> Markup:
    """What the visitor should know about this answer."""
    said, reason = (
        sorted(turn.notices, key=lambda notice: notice.kind != "error"),
        turn.finished.reason if turn.finished else "",
    )
    if turn.failure:
        said.insert(0, Notice(turn.failure, "error"))
    elif reason == "error" and not any(notice.kind == "error" for notice in said):
        said.append(Notice("The answer broke off; ask again.", "error"))
    elif turn.stopped or reason in REASONS:
        said.append(Notice(REASONS[reason or "cancelled"]))
    shown, folded = said[:SHOWN_NOTICES], said[SHOWN_NOTICES:]
    if len(folded) < 2:  # one more line costs no more than the line that hides it
        return join(map(_notice, said))
    more = '{}<details class="more"><summary>{} more remarks</summary>{}</details>'
    return fill(more, join(map(_notice, shown)), len(folded), join(map(_notice, folded)))


def _notice(notice: Notice) -> Markup:
    return fill('<p class="notice {}">{}</p>', notice.kind, notice.text)


def meta(turn: Turn, *, last: bool) -> Markup:
    """The quiet line: what can be done with the answer, and what it took."""
    if turn.running:
        return Markup("")
    copy = Markup('<button type="button" class="quiet" data-act="copy">Copy</button>') if turn.text else ""
    again = Markup('<button type="button" class="quiet" data-act="retry">Retry</button>') if last else ""
    html = '<span class="actions">{}{}</span><span class="figures">{}</span>'
    return fill(html, copy, again, figures(turn.finished) if turn.finished else "")


def figures(finished: TurnFinished) -> Markup:
    """Seconds to the first token, tokens per second and the model, as far as they are known."""
    timings, said = finished.timings, []
    if timings.first_token_s is not None:
        said.append(f"{timings.first_token_s:.1f} s to first token")
    if rate := timings.tokens_per_s(finished.counts.generated):
        said.append(f"{rate:.1f} tokens/s")
    if finished.model:
        said.append(finished.model)
    return join(fill("<span>{}</span>", text) for text in said)


def follow_ups(turn: Turn, routes: Routes) -> Markup:
    """Questions that may come next; they are written down beforehand and cost no tokens."""
    if turn.running or turn.route is None or turn.route.name not in routes:
        return Markup("")
    texts = routes[turn.route.name].follow_ups
    return join(ask_button(text, "follow-up") for text in texts if text.casefold() != turn.question.casefold())


def ask_button(text: str, kind: str) -> Markup:
    """A button that asks its own text."""
    html = '<button type="button" class="{}" data-act="ask" data-text="{}" dir="auto">{}</button>'
    return fill(html, kind, text, text)
