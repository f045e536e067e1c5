"""Feedback on the page: thumbs, reports of sources, wishes, and being forgotten. Nothing is kept before a yes.

One dialog serves them all (static/feedback.js); it stands outside the tabs, so that it opens from each of them. What
a browser sends is foreign: kinds, reasons and lengths are checked, and what an answer was is taken from the server's
own memory of the conversation, never from the page.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr
from pydantic import BaseModel, Field, ValidationError

from onboarding.assistant.turns import Turn
from onboarding.feedback.row import REASONS, FeedbackRow, Kind, Reason, Source, Took, Verdict, visitor_of
from onboarding.feedback.store import NotStored
from onboarding.ui.chat.session import Session
from onboarding.ui.chat.shelf import STORAGE_SALT
from onboarding.ui.kit.hooks import QUIET
from onboarding.ui.kit.languages import ENGLISH, Speech, speech_for
from onboarding.ui.kit.markup import fill, join
from onboarding.ui.kit.theme import static

if TYPE_CHECKING:
    from onboarding.feedback.desk import Feedback
    from rag.types import Passage

logger = logging.getLogger(__name__)

STORAGE_KEY = "qubinode-feedback"
MAX_COMMENT = 2_000  # characters; the field of the page stops there too
TITLES = ("up", "down", "source", "wish")  # what the dialog can be about


class Agreed(BaseModel, frozen=True):
    """What the browser keeps of a visitor who agreed: a random key, and with it the yes."""

    key: str = Field(pattern=r"^[0-9a-f]{32}$")


class Said(BaseModel, frozen=True):
    """What the dialog sent."""

    kind: Literal["up", "down", "source", "wish", "forget"]
    agreed: bool = False
    turn: str = Field(default="", max_length=80)
    number: int = 0  # of the source, from 1
    reason: Reason = ""
    comment: str = Field(default="", max_length=MAX_COMMENT)


class FeedbackDesk:
    """Built below the tabs; `wire` connects it with the conversation it is about."""

    def __init__(self, feedback: Feedback) -> None:
        self._feedback = feedback

    def build(self) -> None:
        """Lay it out."""
        self._kept = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_SALT)
        self._view = gr.HTML(
            {"form": form(ENGLISH), "agreed": False},
            html_template=static("feedback.html"),
            js_on_load=static("feedback.js"),
            apply_default_css=False,
            elem_id="feedback",
        )

    def wire(self, page: gr.Blocks, session: gr.State) -> None:
        """Connect the events; session: what the server remembers of the chat."""
        page.load(self._draw, self._kept, self._view, **QUIET)
        self._view.submit(self._hear, [session, self._kept], [self._view, self._kept], **QUIET)

    def _draw(self, kept: object, request: gr.Request) -> dict[str, Any]:
        return {"form": form(speech_for(request)), "agreed": agreed(kept) is not None}

    def _hear(
        self, session: Session, kept: object, event: gr.EventData, request: gr.Request
    ) -> tuple[dict[str, Any], Any]:
        speech, known = speech_for(request), agreed(kept)
        try:
            said = Said.model_validate(getattr(event, "_data", None))
        except ValidationError:
            return self._answer(speech, known, speech("feedback_not_kept"), ok=False)
        if said.kind == "forget":
            return self._forget(speech, known)
        if not known and not said.agreed:
            return self._answer(speech, None, speech("feedback_agree_first"), ok=False)
        known = known or Agreed(key=secrets.token_hex(16))
        return self._keep(said, session, known, speech)

    def _keep(self, said: Said, session: Session, known: Agreed, speech: Speech) -> tuple[dict[str, Any], Any]:
        row = row_of(said, session.turns, known.key)
        if row is None:
            return self._answer(speech, known, speech("feedback_gone"), ok=False)
        try:
            self._feedback.keep(row)
        except NotStored as error:
            logger.warning("feedback was not kept: %s", error)
            return self._answer(speech, known, speech("feedback_not_kept"), ok=False)
        if said.kind != "wish":
            return self._answer(speech, known, speech("feedback_thanks"), about=said)
        return self._answer(
            speech, known, speech("feedback_thanks_wish"), about=said, link=self._feedback.issue_link(said.comment)
        )

    def _forget(self, speech: Speech, known: Agreed | None) -> tuple[dict[str, Any], Any]:
        try:
            count = self._feedback.forget(known.key) if known else 0
        except OSError:
            logger.exception("a visitor's feedback could not be deleted")
            return self._answer(speech, known, speech("feedback_not_forgotten"), ok=False)
        logger.info("%d rows of feedback were deleted on request", count)
        return self._answer(speech, None, speech("feedback_forgotten"), about=Said(kind="forget"))

    def _answer(
        self, speech: Speech, known: Agreed | None, text: str, *, ok: bool = True, about: Said | None = None,
        link: str = "",
    ) -> tuple[dict[str, Any], Any]:  # fmt: skip
        """The value of the view with what is said to the visitor, and what the browser shall keep."""
        reply = {"ok": ok, "text": text, "link": link, "id": secrets.token_hex(4)}
        if about:
            reply |= {"kind": about.kind, "turn": about.turn, "number": about.number}
        value = {"form": form(speech), "agreed": known is not None, "reply": reply}
        return value, known.model_dump() if known else {}


def agreed(kept: object) -> Agreed | None:
    """The visitor's yes, or None when there was none or what came back is none."""
    try:
        return Agreed.model_validate(kept)
    except ValidationError:
        return None


def row_of(said: Said, turns: list[Turn], key: str) -> FeedbackRow | None:
    """The row for what was said; None when it is about an answer or a source that is not on the page."""
    visitor = visitor_of(key)
    if said.kind == "wish":
        wish = said.comment.strip()
        return FeedbackRow(visitor=visitor, kind="suggestion", comment=wish) if wish else None
    turn = next((turn for turn in turns if turn.id == said.turn and not turn.running), None)
    if turn is None or (said.kind == "source" and not 1 <= said.number <= len(turn.sources)):
        return None
    kind: Kind = "source" if said.kind == "source" else "thumb"
    verdict: Verdict = said.kind if said.kind in {"up", "down"} else ""
    return FeedbackRow(
        visitor=visitor,
        kind=kind,
        verdict=verdict,
        reason=said.reason if said.kind != "up" else "",
        comment=said.comment.strip(),
        turn=turn.id,
        question=turn.question,
        answer=turn.text,
        route=turn.route.name if turn.route else "",
        sources=tuple(_source(passage) for passage in turn.sources),
        reported=_source(turn.sources[said.number - 1]) if kind == "source" else None,
        model=turn.finished.model if turn.finished else "",
        took=_took(turn),
    )


def _source(passage: Passage) -> Source:
    return Source(id=passage.id, title=passage.title, url=passage.url)


def _took(turn: Turn) -> Took:
    if not turn.finished:
        return Took()
    timings, counts = turn.finished.timings, turn.finished.counts
    return Took(
        queued_s=round(timings.queued_s, 3),
        first_token_s=None if timings.first_token_s is None else round(timings.first_token_s, 3),
        total_s=round(timings.total_s, 3),
        generated=counts.generated,
    )


def form(speech: Speech) -> str:
    """The bar below the page and the dialog, in the visitor's language."""
    titles = join(fill('<h2 data-about="{}">{}</h2>', about, speech(f"feedback_title_{about}")) for about in TITLES)
    reasons = join(
        fill(
            '<label><input type="radio" name="feedback-reason" value="{}"> {}</label>',
            reason,
            speech("feedback_" + reason.replace(" ", "_")),
        )
        for reason in REASONS
    )
    html = (
        '<div class="bar"><button type="button" class="quiet" data-feedback="wish">{suggest}</button>'
        '<button type="button" class="quiet" data-feedback="forget">{forget}</button></div>'
        '<dialog aria-labelledby="feedback-title"><div id="feedback-title">{titles}</div>'
        '<div class="ask"><label class="agree"><input type="checkbox"> <span>{agree}</span></label>'
        '<fieldset><legend>{reason}</legend><div class="reasons">{reasons}</div></fieldset>'
        '<label class="words"><span data-words="comment">{comment}</span><span data-words="wish">{wish}</span>'
        '<textarea rows="3" maxlength="{longest}" dir="auto"></textarea></label><p class="small">{careful}</p></div>'
        '<p class="reply" role="status"></p>'
        '<p class="issue"><a target="_blank" rel="noopener noreferrer">{issue}</a></p>'
        '<div class="ends"><button type="button" class="plain" data-end="close">{close}</button>'
        '<button type="button" class="main" data-end="send">{send}</button></div></dialog>'
        '<p class="kept" role="status"></p>'
    )
    return str(
        fill(
            html,
            titles=titles,
            reasons=reasons,
            longest=MAX_COMMENT,
            suggest=speech("feedback_suggest"),
            forget=speech("feedback_forget"),
            agree=speech("feedback_agree"),
            reason=speech("feedback_reason"),
            comment=speech("feedback_comment"),
            wish=speech("feedback_wish"),
            careful=speech("feedback_careful"),
            issue=speech("feedback_issue"),
            close=speech("close"),
            send=speech("send"),
        )
    )
