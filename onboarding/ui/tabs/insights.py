"""The Insights tab: the usage of the Space, from anonymous counts. Drawn when a visitor opens it; needs no model."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from model.prompting.system_prompts import RouteText
from onboarding.tours.content import Tour, load_tours
from onboarding.ui.kit.languages import preferred_language, say, text
from onboarding.ui.kit.markup import fill, join
from onboarding.ui.kit.tab_context import QUIET, TabContext
from onboarding.ui.tabs.usage_charts import lines, stacked_bars
from onboarding.usage.ledger import CountRow
from onboarding.usage.recorder import FIRST_TOKEN_S
from onboarding.usage.summary import Funnel, Summary, first_hour, summarise

SPANS = (7, 30, 90)  # days
FRESH_S = 2.0  # a drawing is reused for so long, so that a page that asks again and again costs one drawing
PARTS = ("answered", "abstained", "stopped", "failed")


class InsightsTab:
    """Builds the tab. `rows` returns the counts from an hour on; `tours`: name -> number of steps."""

    def __init__(
        self,
        rows: Callable[[int], Sequence[CountRow]],
        tours: Mapping[str, int],
        routes: Mapping[str, RouteText],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rows = rows
        self._tours = tours
        self._routes = {name: route.label for name, route in routes.items()}
        self._clock = clock
        self._lock = threading.Lock()
        self._drawn: dict[tuple[int, str], tuple[float, str]] = {}

    def build(self, hooks: TabContext) -> None:
        """Lay out the tab and wire it."""
        with gr.Column(elem_id="insights", elem_classes="wide"):
            gr.Markdown(say("insights_about"))
            span = gr.Radio(
                [str(days) for days in SPANS], value=str(SPANS[0]), label=say("insights_days"), elem_id="insights-span"
            )
            shown = gr.HTML("", elem_id="insights-shown", apply_default_css=False, padding=False)
        for moment in (hooks.tab.select, span.change):
            moment(self._show, span, shown, **QUIET)

    def _show(self, chosen: str, request: gr.Request) -> str:
        language = preferred_language(dict(request.headers).get("accept-language", ""))
        return self.html(next((days for days in SPANS if str(days) == chosen), SPANS[0]), language)

    def html(self, days: int, language: str) -> str:
        """Return everything below the choice of days as HTML."""
        now = self._clock()
        with self._lock:
            at, drawn = self._drawn.get((days, language), (-math.inf, ""))
            if 0 <= now - at < FRESH_S:
                return drawn
            summary = summarise(self._rows(first_hour(now, days)), self._tours, now, days)
            if summary.is_empty:
                return _nothing(language)  # not kept: it is cheap, and wrong as soon as the first visitor has asked
            drawn = self._draw(summary, language)
            self._drawn[days, language] = (now, drawn)
            return drawn

    def _draw(self, summary: Summary, language: str) -> str:
        cards = _Cards(summary, self._routes, language)
        return fill('<div class="tiles">{}</div><div class="cards">{}</div>', cards.tiles(), cards.all())


def _nothing(language: str) -> Markup:
    """Return the empty state: the reason, and links to the tours."""
    links = join(fill('<li><a href="?tour={}&step=1">{}</a></li>', tour.name, tour.title)
                 for tour in load_tours().values())  # fmt: skip
    return fill('<div class="nothing"><p>{}</p><ul>{}</ul></div>', text("insights_empty", language), links)


class _Cards:
    """The panels over one summary, in one language."""

    def __init__(self, summary: Summary, routes: Mapping[str, str], language: str) -> None:
        self._summary = summary
        self._routes = routes
        self._language = language
        self._dates = [day.date.strftime("%m-%d") for day in summary.days]

    def _text(self, key: str) -> str:
        return text(f"insights_{key}", self._language)

    def tiles(self) -> Markup:
        """Return the figures that matter most, large."""
        summary = self._summary
        up, down = summary.total(lambda day: day.up), summary.total(lambda day: day.down)
        figures = [
            (f"{summary.total(lambda day: day.visits):,}", "visits"),
            (f"{summary.total(lambda day: day.questions):,}", "questions"),
            (f"{sum(funnel.starts for funnel in summary.funnels):,}", "tours_opened"),
            (f"{100 * up / (up + down):.0f} %" if up + down else "–", "helpful"),
            (_seconds(summary.first_token_s), "first_token"),
            (f"{100 * summary.cached:.0f} %" if summary.cached is not None else "–", "cached"),
        ]
        tile = '<div class="tile"><strong>{}</strong><span>{}</span></div>'
        return join(fill(tile, value, self._text(name)) for value, name in figures)

    def all(self) -> Markup:
        """Return every panel, in the order of reading."""
        tours = load_tours()
        funnels = [self._funnel(funnel, tours[funnel.tour]) for funnel in self._summary.funnels if funnel.tour in tours]
        routes = {self._routes.get(name, name): count for name, count in self._summary.routes.items()}
        return join(
            [
                self._answers(), self._waiting(), self._judged(), *funnels, self._ranking("routes", routes),
                self._ranking("tools", self._summary.tools), self._ranking("programs", self._summary.calls),
            ]
        )  # fmt: skip

    def _answers(self) -> Markup:
        series = {part: [float(getattr(day, part)) for day in self._summary.days] for part in PARTS}
        if not any(map(sum, series.values())):
            return self._card("answers", fill("<p>{}</p>", self._text("no_answers")))
        drawing = stacked_bars(self._text("answers"), self._dates, series)
        return self._chart("answers", drawing, series)

    def _waiting(self) -> Markup:
        series = {"half": [_finite(day.first_token_s) for day in self._summary.days],
                  "slowest": [_finite(day.slowest_s) for day in self._summary.days]}  # fmt: skip
        if not any(value is not None for values in series.values() for value in values):
            return self._card("waiting", fill("<p>{}</p>", self._text("no_answers")))
        return self._chart("waiting", lines(self._text("waiting"), self._dates, series), series)

    def _judged(self) -> Markup:
        series = {"up": [float(day.up) for day in self._summary.days],
                  "down": [float(day.down) for day in self._summary.days]}  # fmt: skip
        if not any(map(sum, series.values())):
            return self._card("judged", fill("<p>{}</p>", self._text("no_thumbs")))
        return self._chart("judged", stacked_bars(self._text("judged"), self._dates, series), series)

    def _funnel(self, funnel: Funnel, tour: Tour) -> Markup:
        names = [f"{number}. {step.name}" for number, step in enumerate(tour.steps, start=1)]
        rows = [(self._text("opened"), funnel.starts), *zip(names, funnel.steps, strict=True),
                (self._text("finished"), funnel.ends)]  # fmt: skip
        if not funnel.starts:
            link = fill('<a href="?tour={}&step=1">{}</a>', tour.name, self._text("walk_it"))
            return _panel(tour.title, fill("<p>{} {}</p>", self._text("no_walks"), link))
        return _panel(tour.title, _bars(rows, funnel.starts), f"funnel-{tour.name}")

    def _ranking(self, title: str, counts: Mapping[str, int]) -> Markup:
        if not counts:
            return Markup("")
        return self._card(title, _bars(list(counts.items()), sum(counts.values())))

    def _chart(self, title: str, drawing: Markup, series: Mapping[str, Sequence[float | None]]) -> Markup:
        """Return a drawing with its key, and behind a fold its figures as a table."""
        key = join(
            fill('<li class="color-{}">{}</li>', at, self._text(name)) for at, name in enumerate(series)
        )  # fmt: skip
        head = join(fill('<th scope="col">{}</th>', self._text(name)) for name in ("day", *series))
        rows = join(
            fill("<tr>{}</tr>", join(fill("<td>{}</td>", cell) for cell in (date, *map(_figure, values))))
            for date, *values in zip(self._dates, *series.values(), strict=True)
        )
        table = fill(
            '<details><summary>{}</summary><table class="facts"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
            "</details>",
            self._text("table"),
            head,
            rows,
        )
        return self._card(title, fill('{}<ul class="key">{}</ul>{}', drawing, key, table))

    def _card(self, title: str, body: Markup) -> Markup:
        return _panel(self._text(title), body, f"insights-{title}")


def _panel(title: str, body: Markup, name: str = "") -> Markup:
    return fill('<section class="panel" data-panel="{}"><h3>{}</h3>{}</section>', name, title, body)


def _bars(rows: Sequence[tuple[str, int]], whole: int) -> Markup:
    """Return a table of names and counts, each with a bar as long as its share of `whole`."""
    row = (
        '<tr><th scope="row">{}</th><td class="share"><span style="width:{:.1f}%"></span></td>'
        '<td class="count">{:,}</td><td class="count">{:.0f} %</td></tr>'
    )
    whole = max(1, whole)
    return fill(
        '<table class="bars-table"><tbody>{}</tbody></table>',
        join(fill(row, name, min(100.0, 100 * n / whole), n, 100 * n / whole) for name, n in rows),
    )


def _figure(value: Any) -> str:
    return "–" if value is None else f"{value:,g}"


def _finite(seconds: float | None) -> float | None:
    """Return a value that can be drawn: one beyond the last bucket becomes that bucket's bound."""
    return None if seconds is None else min(seconds, float(FIRST_TOKEN_S[-1]))


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"≤ {value:g} s" if math.isfinite(value) else f"> {FIRST_TOKEN_S[-1]} s"
