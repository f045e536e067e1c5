"""Feedback on the page: thumbs, reports of sources, wishes, deletion. Keeps nothing before the visitor consents.

One dialog serves them all (static/feedback.js); it stands outside the tabs, so that it opens from each of them. What
a browser sends is untrusted: kinds, reasons and lengths are validated, and question and answer come from the server's
state of the conversation, never from the page.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr
from pydantic import BaseModel, Field, ValidationError

from onboarding.assistant.turns import Turn
from onboarding.edge.client_address import asker_of
from onboarding.edge.rate_limits import NO_LIMITS, RateLimits
from onboarding.feedback.row import REASONS, FeedbackRow, Kind, Reason, Source, Took, Verdict, visitor_of
from onboarding.feedback.store import NotStored
from onboarding.ui.chat.session import Session
from onboarding.ui.kit.languages import ENGLISH, Translator, translator_for
from onboarding.ui.kit.markup import fill, join
from onboarding.ui.kit.tab_context import QUIET, STORAGE_SALT
from onboarding.ui.kit.theme import static

if TYPE_CHECKING:
    from onboarding.feedback.service import Feedback
    from rag.types import Passage

logger = logging.getLogger(__name__)

STORAGE_KEY = "qubinode-feedback"
MAX_COMMENT = 2_000  # characters; the dialog's field has the same limit
TITLES = ("up", "down", "source", "wish")  # subjects of the dialog

Reply = tuple[dict[str, Any], Any]  # the value of the dialog's view, and what the browser keeps from now on


class Consent(BaseModel, frozen=True):
    """The consent of a visitor as the browser keeps it: a random key."""

    key: str = Field(pattern=r"^[0-9a-f]{32}$")


class Submission(BaseModel, frozen=True):
    """The fields that the dialog sends."""

    kind: Literal["up", "down", "source", "wish", "forget"]
    agreed: bool = False
    publish: bool = False  # asked of a poor answer each time, and never remembered
    turn: str = Field(default="", max_length=80)
    number: int = 0  # of the source, from 1
    reason: Reason = ""
    comment: str = Field(default="", max_length=MAX_COMMENT)


class FeedbackDesk:
    """Builds the dialog below the tabs; `wire` connects it with the chat's session."""

    def __init__(self, feedback: Feedback, limits: RateLimits | None = None) -> None:
        """limits: bounds what an address may have kept and deleted; by default nothing does."""
        self._feedback = feedback
        self._limits = limits or RateLimits(NO_LIMITS)

    def build(self) -> None:
        """Lay out the dialog."""
        self._kept = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_SALT)
        self._view = gr.HTML(
            {"form": form(ENGLISH), "agreed": False},
            html_template=static("feedback.html"),
            js_on_load=static("feedback.js"),
            apply_default_css=False,
            elem_id="feedback",
        )

    def wire(self, page: gr.Blocks, session: gr.State) -> None:
        """Connect the events; session: the server's state of the chat."""
        page.load(self._draw, self._kept, self._view, **QUIET)
        self._view.submit(self._submitted, [session, self._kept], [self._view, self._kept], **QUIET)

    def _draw(self, kept: object, request: gr.Request) -> dict[str, Any]:
        return {"form": form(translator_for(request)), "agreed": consent_in(kept) is not None}

    def _submitted(self, session: Session, kept: object, event: gr.EventData, request: gr.Request) -> Reply:
        translate, known = translator_for(request), consent_in(kept)
        try:
            sent = Submission.model_validate(getattr(event, "_data", None))
        except ValidationError:
            return self._answer(translate, known, translate("feedback_not_kept"), ok=False)
        if not known and not sent.agreed and sent.kind != "forget":
            return self._answer(translate, None, translate("feedback_agree_first"), ok=False)
        if self._limits.feedback_wait_s(asker_of(request).address):
            return self._answer(translate, known, translate("feedback_not_kept"), ok=False)
        if sent.kind == "forget":
            return self._forget(translate, known)
        known = known or Consent(key=secrets.token_hex(16))
        return self._keep(sent, session, known, translate)

    def _keep(self, sent: Submission, session: Session, known: Consent, translate: Translator) -> Reply:
        row = row_of(sent, session.turns, known.key)
        if row is None:
            return self._answer(translate, known, translate("feedback_gone"), ok=False)
        try:
            self._feedback.keep(row)
        except NotStored as error:
            logger.warning("feedback was not kept: %s", error)
            return self._answer(translate, known, translate("feedback_not_kept"), ok=False)
        if sent.kind != "wish":
            return self._answer(translate, known, translate("feedback_thanks"), about=sent)
        return self._answer(
            translate,
            known,
            translate("feedback_thanks_wish"),
            about=sent,
            link=self._feedback.issue_link(sent.comment),
        )

    def _forget(self, translate: Translator, known: Consent | None) -> Reply:
        try:
            count = self._feedback.forget(known.key) if known else 0
        except OSError:
            logger.exception("a visitor's feedback could not be deleted")
            return self._answer(translate, known, translate("feedback_not_forgotten"), ok=False)
        logger.info("%d rows of feedback were deleted on request", count)
        return self._answer(translate, None, translate("feedback_forgotten"), about=Submission(kind="forget"))

    def _answer(
        self, translate: Translator, known: Consent | None, text: str, *, ok: bool = True,
        about: Submission | None = None, link: str = "",
    ) -> Reply:  # fmt: skip
        """Return the view's value with a message for the visitor, and the consent that the browser keeps."""
        reply = {"ok": ok, "text": text, "link": link, "id": secrets.token_hex(4)}
        if about:
            reply |= {"kind": about.kind, "turn": about.turn, "number": about.number}
        value = {"form": form(translate), "agreed": known is not None, "reply": reply}
        return value, known.model_dump() if known else {}


def consent_in(kept: object) -> Consent | None:
    """Return the consent that the browser kept, or None when there is none or it does not validate."""
    try:
        return Consent.model_validate(kept)
    except ValidationError:
        return None


def row_of(sent: Submission, turns: list[Turn], key: str) -> FeedbackRow | None:
    """Return the row for a submission; None when its answer or its source is not on the page."""
    visitor = visitor_of(key)
    if sent.kind == "wish":
        wish = sent.comment.strip()
        return FeedbackRow(visitor=visitor, kind="suggestion", comment=wish) if wish else None
    turn = next((turn for turn in turns if turn.id == sent.turn and not turn.running), None)
    if turn is None or (sent.kind == "source" and not 1 <= sent.number <= len(turn.sources)):
        return None
    kind: Kind = "source" if sent.kind == "source" else "thumb"
    verdict: Verdict = sent.kind if sent.kind in {"up", "down"} else ""
    return FeedbackRow(
        visitor=visitor,
        kind=kind,
        verdict=verdict,
        reason=sent.reason if sent.kind != "up" else "",
        comment=sent.comment.strip(),
        turn=turn.id,
        question=turn.question,
        answer=turn.text,
        route=turn.route.name if turn.route else "",
        sources=tuple(_source(passage) for passage in turn.sources),
        reported=_source(turn.sources[sent.number - 1]) if kind == "source" else None,
        model=turn.finished.model if turn.finished else "",
        took=_took(turn),
        state=turn.found.state if turn.found else "",
        agreed="publish" if sent.publish and sent.kind == "down" else "keep",
        from_browser=turn.from_browser,
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


def form(translate: Translator) -> str:
    """Return the bar below the page and the dialog as HTML, in the visitor's language."""
    titles = join(fill('<h2 data-about="{}">{}</h2>', about, translate(f"feedback_title_{about}")) for about in TITLES)
    reasons = join(
        fill(
            '<label><input type="radio" name="feedback-reason" value="{}"> {}</label>',
            reason,
            translate("feedback_" + reason.replace(" ", "_")),
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
        '<textarea rows="3" maxlength="{longest}" dir="auto"></textarea></label>'
        '<label class="agree publish"><input type="checkbox"> <span>{publish}</span></label>'
        '<p class="small">{careful}</p></div>'
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
            suggest=translate("feedback_suggest"),
            forget=translate("feedback_forget"),
            agree=translate("feedback_agree"),
            publish=translate("feedback_publish"),
            reason=translate("feedback_reason"),
            comment=translate("feedback_comment"),
            wish=translate("feedback_wish"),
            careful=translate("feedback_careful"),
            issue=translate("feedback_issue"),
            close=translate("close"),
            send=translate("send"),
        )
    )
