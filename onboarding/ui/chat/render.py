"""Draws a turn as HTML, part by part. Pure functions; untrusted text goes through `fill` or `to_html`.

A part is a string that the page puts into a slot of its own (static/transcript.js). While an answer streams, the page
touches only the slot that changed, so an opened source stays open and nothing above the new words moves.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from model.checking.gate import PLACE, Judged
from model.engine.events import Prefill, Queued
from model.prompting.system_prompts import RouteText
from model.turn.events import Notice, RouteChosen, TurnFinished
from onboarding.assistant.turns import Turn
from onboarding.ui.chat.evidence import evidence, source_links, split_quote, step, tally
from onboarding.ui.kit.languages import ENGLISH, Translator
from onboarding.ui.kit.markdown import Insert, Link, citation, inline_html, to_html
from onboarding.ui.kit.markup import fill, join

OPEN_TOUR = "rhel10"  # the tour that a visitor is offered while the queue is full
TAB_BUTTON = '<button type="button" class="follow-up" data-act="tab" data-tab="{}">{}</button>'
FAULTS = frozenset({"error", "full"})  # kinds of notice that stand first
SHOWN_NOTICES = 2  # a rambling model earns a remark per sentence
UNSURE = 0.5  # below this the route is shown with a question mark

REASONS = {"length": "too_long", "deadline": "out_of_time", "cancelled": "stopped"}  # to keys of languages.toml

THUMB = Markup(
    '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M5 7.4 7.6 2c1.1 0 1.9.8 1.9 1.9L9.2 6.3h3.6c.9 0 1.5.8'
    ' 1.3 1.7l-.9 4.3c-.2.8-.8 1.3-1.6 1.3H5z"/><path d="M5 7.4H2v6.2h3z"/></svg>'
)

Routes = Mapping[str, RouteText]


def turn_parts(turn: Turn, routes: Routes, translate: Translator = ENGLISH, *, last: bool) -> dict[str, str]:
    """Return slot -> HTML of a turn; "" leaves a slot empty. Only the last turn offers actions."""
    parts = {
        "question": question(turn, translate, last=last),
        "route": route(turn, routes, translate, last=last) + tally(turn.found, translate) + stands_for(turn, translate),
        "steps": join(step(one, translate) for one in turn.steps),
        "evidence": evidence(turn, translate),
        "answer": answer(turn, translate),
        "notices": notices(turn, translate),
        "meta": meta(turn, translate, last=last),
        "next": following(turn, routes, translate) if last else Markup(""),
    }
    return {name: str(part) for name, part in parts.items()}


def question(turn: Turn, translate: Translator, *, last: bool) -> Markup:
    """Return the visitor's question as typed."""
    edit = action("edit", translate)
    html = '<div class="asked" dir="auto">{}</div>{}'
    return fill(html, turn.question, edit if last and not turn.running else "")


def route(turn: Turn, routes: Routes, translate: Translator, *, last: bool) -> Markup:
    """Return the route as a chip; on the last turn with a menu of the other routes, each of which asks again."""
    if turn.route is None:
        pending = fill('<span class="chip pending">{}</span>', translate("choosing"))
        return pending if turn.running else Markup("")
    unsure = "?" if turn.route.confidence < UNSURE else ""
    label = fill('<span class="as">{}</span> {}{}', translate("answered_as"), turn.route.label, unsure)
    if not last or turn.running:
        return fill('<span class="chip" title="{}">{}</span>', _how_sure(turn.route, translate), label)
    html = (
        '<details class="menu"><summary class="chip" title="{0}">{1}<span class="change">{2}</span></summary>'
        '<div class="sheet" role="menu" aria-label="{3}"><p>{3}</p>{4}</div></details>'
    )
    others = _other_routes(turn.route.name, routes)
    return fill(html, _how_sure(turn.route, translate), label, translate("change"), translate("again_as"), others)


def stands_for(turn: Turn, translate: Translator) -> Markup:
    """Return what was looked for instead of the question as typed; "" for one that stands alone."""
    if turn.route is None or not turn.route.stands_for:
        return Markup("")
    html = '<span class="stands-for">{} <q lang="en" dir="auto">{}</q></span>'
    return fill(html, translate("looked_for"), turn.route.stands_for)


def _how_sure(chosen: RouteChosen, translate: Translator) -> str:
    share = f"{chosen.confidence:.2f}"
    return translate("your_choice") if chosen.overridden else translate("confidence", share=share)


def _other_routes(current: str, routes: Routes) -> Markup:
    html = '<button type="button" role="menuitem" data-act="route" data-route="{}"{}>{}</button>'
    mark = Markup(' aria-current="true"')
    offered = {name: text for name, text in routes.items() if text.starters}
    return join(fill(html, name, mark if name == current else "", text.label) for name, text in offered.items())


def answer(turn: Turn, translate: Translator) -> Markup:
    """Return the text so far and the progress: in place of the text, or below it while the model reads more."""
    words = split_quote(turn)[1]
    wait = progress(turn, translate) if turn.running and (turn.progress or not words) else Markup("")
    if not words and not turn.judged:
        return wait
    nearest = turn.found.nearest if turn.found and not turn.sources else []
    links = source_links(turn.sources)
    inserts = [judgement(one, links, translate) for _, one in turn.judged]
    text = to_html(_with_places(turn, words), links, [passage.url for passage in nearest], inserts)
    state = "streaming" if turn.running and not wait else ""
    return fill('<div class="text {}">{}</div>{}', state, text, wait)


def _with_places(turn: Turn, words: str) -> str:
    """Return the end `words` of the turn's text with a PLACE for each judgement."""
    begin = len(turn.text) - len(words)
    for place, _ in reversed(turn.judged):
        at = max(0, place - begin)
        words = words[:at] + PLACE + words[at:]
    return words


def judgement(judged: Judged, links: Mapping[int, Link], translate: Translator) -> Insert:
    """Return what the page shows at the place of a judgement; what was left out opens on demand."""
    if judged.kind == "not_found" and not judged.command:
        return Insert(fill('<span class="unfound">{}</span>', translate("unfound")))
    words = fill("<code>{}</code>", judged.words) if judged.command else inline_html(judged.words)
    if judged.kind == "not_found":
        return Insert(fill('<p class="unfound">{} {}</p>', translate("unfound_command"), words), block=True)
    html = '<details class="left-out"><summary>{}{}</summary><p dir="auto"><b>{}</b> {}</p>{}</details>'
    number = citation(judged.source, links[judged.source]) if judged.source in links else Markup("")
    whose = translate("evidence_says" if judged.source else "result_says")
    says = fill('<p dir="auto"><b>{}</b> {}</p>', whose, inline_html(judged.evidence))
    said = _left_out(judged, translate)
    return Insert(
        fill(html, said, number, translate("model_wrote"), words, says if judged.evidence else ""), block=True
    )


def _left_out(judged: Judged, translate: Translator) -> str:
    what = "left_out_command" if judged.command else "left_out" if judged.source else "left_out_result"
    return translate(what)


def judgement_words(judged: Judged, translate: Translator) -> str:
    """Return what a copy of the text says at the place of a judgement."""
    if judged.kind == "left_out":
        source = f" [{judged.source}]" if judged.source else ""
        return f"({_left_out(judged, translate)}{source})"
    return f"({translate('unfound_command')} `{judged.words}`)" if judged.command else f"({translate('unfound')})"


def progress(turn: Turn, translate: Translator) -> Markup:
    """Return one line and one bar for the time before the first token."""
    match turn.progress:
        case Queued(ahead, eta_s):
            left = _about(eta_s, translate)
            said = translate.count("ahead", ahead, left=left) if ahead else translate("ahead_none", left=left)
            return _bar(said)
        case Prefill(done, total, eta_s) if done < total:
            said = translate("reading", done=done, total=total, left=_about(eta_s, translate))
            return _bar(said, done / max(total, 1), translate("reading_prompt"))
        case Prefill():
            return _bar(translate("writing"), 1.0, translate("reading_prompt"))
    return _bar(translate("preparing" if turn.found or turn.steps else "looking"))


def _bar(text: str, share: float | None = None, label: str = "") -> Markup:
    """Return a line over a bar; `share` is 0..1, None when unknown; `label` names the bar to a screen reader."""
    if share is None:
        return fill('<div class="progress"><span>{}</span><i class="bar unknown"></i></div>', text)
    html = (
        '<div class="progress"><span>{0}</span><i class="bar" role="progressbar" aria-label="{2}"'
        ' aria-valuemin="0" aria-valuemax="100" aria-valuenow="{1}"><b style="width:{1}%"></b></i></div>'
    )
    return fill(html, text, round(100 * min(max(share, 0.0), 1.0)), label)


def _about(seconds: float, translate: Translator) -> str:
    if seconds < 90:
        return translate("left_s", n=max(1, round(seconds)))
    return translate("left_min", n=round(seconds / 60))


def notices(turn: Turn, translate: Translator) -> Markup:
    """Return the remarks about this answer, faults first; those past the second lie behind a fold."""
    said, reason = (
        sorted(turn.notices, key=lambda notice: notice.kind not in FAULTS),
        turn.finished.reason if turn.finished else "",
    )
    if turn.failure:
        said.insert(0, Notice(turn.failure, "error"))
    elif reason == "error" and not any(notice.kind in FAULTS for notice in said):
        said.append(Notice(translate("broke_off"), "error"))
    elif turn.stopped or reason in REASONS:
        said.append(Notice(translate(REASONS[reason or "cancelled"])))
    shown, folded = said[:SHOWN_NOTICES], said[SHOWN_NOTICES:]
    if len(folded) < 2:  # one more line costs no more than the line that hides it
        return join(map(_notice, said))
    more = '{}<details class="more"><summary>{}</summary>{}</details>'
    return fill(more, join(map(_notice, shown)), translate("more_remarks", n=len(folded)), join(map(_notice, folded)))


def _notice(notice: Notice) -> Markup:
    return fill('<p class="notice {}">{}</p>', notice.kind, notice.text)


def meta(turn: Turn, translate: Translator, *, last: bool) -> Markup:
    """Return the line below the answer: its actions, its thumbs, and what it took."""
    if turn.running:
        return Markup("")
    copy = action("copy", translate) if turn.text else ""
    again = action("retry", translate) if last else ""
    thumbs = thumb("up", translate) + thumb("down", translate) if turn.text else ""
    html = '<span class="actions">{}{}{}</span><span class="figures">{}</span>'
    return fill(html, copy, again, thumbs, figures(turn.finished, translate) if turn.finished else "")


def action(act: str, translate: Translator) -> Markup:
    """Return a quiet button; `act` names its handler in static/transcript.js and its text."""
    return fill('<button type="button" class="quiet" data-act="{}">{}</button>', act, translate(act))


def thumb(way: str, translate: Translator) -> Markup:
    """Return a thumb, "up" or "down"; static/feedback.js handles it, and without that script it stays hidden."""
    html = (
        '<button type="button" class="quiet thumb" data-feedback="{0}" aria-pressed="false" aria-label="{1}"'
        ' title="{1}">{2}</button>'
    )
    return fill(html, way, translate(f"feedback_{way}"), THUMB)


def figures(finished: TurnFinished, translate: Translator) -> Markup:
    """Return the time to first token, tokens per second and the model, as far as they are known."""
    timings, said = finished.timings, []
    if timings.first_token_s is not None:
        said.append(translate("first_token", s=f"{timings.first_token_s:.1f}"))
    if rate := timings.tokens_per_s(finished.counts.generated):
        said.append(translate("tokens_per_s", rate=f"{rate:.1f}"))
    if finished.model:
        said.append(finished.model)
    return join(fill("<span>{}</span>", text) for text in said)


def following(turn: Turn, routes: Routes, translate: Translator) -> Markup:
    """Return ways to go on: follow-up questions, or where the queue was full the tabs that never wait for the model."""
    if any(notice.kind == "full" for notice in turn.notices):
        ways = ((OPEN_TOUR, "meanwhile_tour"), ("search", "meanwhile_search"))
        return join(fill(TAB_BUTTON, tab, translate(key)) for tab, key in ways)
    tabs = turn.route.tabs if turn.route and not turn.running else ()
    return follow_ups(turn, routes) + join(fill(TAB_BUTTON, tab, translate(tab_key(tab))) for tab in tabs)


def tab_key(tab: str) -> str:
    """Return the key of a tab's name among the page's texts."""
    return f"tab_{tab.replace('-', '_')}"


def follow_ups(turn: Turn, routes: Routes) -> Markup:
    """Return the follow-up questions as buttons, the turn's own before the route's; they cost no tokens."""
    if turn.running or turn.route is None or turn.route.name not in routes:
        return Markup("")
    own = turn.route.asks or turn.route.tabs  # a turn that offers tabs alone offers no questions
    texts = turn.route.asks if own else routes[turn.route.name].follow_ups
    return join(ask_button(text, "follow-up") for text in texts if text.casefold() != turn.question.casefold())


def ask_button(text: str, kind: str) -> Markup:
    """Return a button that asks its own text."""
    html = '<button type="button" class="{}" data-act="ask" data-text="{}" dir="auto">{}</button>'
    return fill(html, kind, text, text)
