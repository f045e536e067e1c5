"""Draws small charts as HTML and SVG: a meter, one bar for each part, a line over time. Text beside them names them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from onboarding.ui.kit.markup import fill, join

WARN_FROM, BAD_FROM = 80.0, 92.0  # per cent in use
BAR_WIDTH, BAR_GAP, BAR_HEIGHT = 9, 3, 32  # of the bars, in the drawing's own units
LINE_WIDTH, LINE_HEIGHT = 200, 40  # of the line


def level(percent: float) -> str:
    """Return the CSS class of a share in use."""
    return "bad" if percent >= BAD_FROM else "warn" if percent >= WARN_FROM else "good"


def meter(name: str, percent: float, note: str = "") -> Markup:
    """Return a share in use with its name, and a note below."""
    return fill(
        '<div class="meter {}"><span class="name">{}</span><span class="value">{:.0f} %</span>'
        '<div class="track" role="meter" aria-label="{}" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{:.0f}">'
        '<span style="width:{:.0f}%"></span></div>{}</div>',
        level(percent),
        name,
        percent,
        name,
        percent,
        min(100.0, max(0.0, percent)),
        fill('<span class="small">{}</span>', note) if note else "",
    )


def bars(percents: Sequence[float]) -> Markup:
    """Return one bar for each processor thread; values in per cent."""
    drawn = join(
        fill(
            '<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}" rx="1" class="{}"/>',
            at * (BAR_WIDTH + BAR_GAP),
            BAR_HEIGHT - max(1.0, value / 100 * BAR_HEIGHT),
            BAR_WIDTH,
            max(1.0, value / 100 * BAR_HEIGHT),
            level(value),
        )
        for at, value in enumerate(percents)
    )
    html = (
        '<svg class="bars" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{} threads, the '
        'busiest at {:.0f} per cent">{}</svg>'
    )
    width = len(percents) * (BAR_WIDTH + BAR_GAP) - BAR_GAP
    return fill(html, width, BAR_HEIGHT, len(percents), max(percents, default=0.0), drawn)


def line(values: Sequence[float], most: float, minutes: int, unit: str) -> Markup:
    """Return a line over the last `minutes`, drawn from 0 to `most`; "" for fewer than two values."""
    if len(values) < 2:
        return Markup("")
    step = LINE_WIDTH / (len(values) - 1)
    scale = LINE_HEIGHT / (most or 1.0)
    points = " ".join(
        f"{at * step:.1f},{LINE_HEIGHT - min(most, value) * scale:.1f}" for at, value in enumerate(values)
    )
    said = f"{min(values):.3g} to {max(values):.3g} {unit}"
    html = (
        '<svg class="line" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}, last {} minutes">'
        '<polygon points="0,{} {} {},{}"/><polyline points="{}"/></svg>'
        '<p class="small span"><span>last {} minutes</span><span>{}</span></p>'
    )
    area = (LINE_HEIGHT, points, LINE_WIDTH, LINE_HEIGHT)
    return fill(html, LINE_WIDTH, LINE_HEIGHT, said, minutes, *area, points, minutes, said)
