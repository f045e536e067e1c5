"""Draws small charts as inline SVG: pygal draws the shapes, the page's style sheet colours them, in light and in dark.

A filter removes what pygal would add (a script, a style sheet, links to its home), so that a browser fetches and runs
nothing and a chart of a month weighs a few kilobytes. Each is an image with a name; a table beside it has its figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pygal
from markupsafe import Markup

from onboarding.ui.kit.markup import trusted

WIDTH, HEIGHT = 380, 210  # the drawing's own units: about the pixels of a card, so letters keep their size
LABELS = 6  # at most, along the days
UNUSED_TAGS = ("defs", "title", "desc")
UNUSED_GROUPS = ("titles", "plot text-overlay", "plot tooltip-overlay")


def stacked_bars(name: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> Markup:
    """Return stacked bars over the days, one part for each series; `name` is the image's name for a screen reader."""
    return _draw(pygal.StackedBar, name, labels, series)


def lines(name: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> Markup:
    """Return lines over the days; a day without a value leaves a gap."""
    return _draw(pygal.Line, name, labels, series, dots_size=2)


def _draw(
    kind: Any, name: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], **options: Any
) -> Markup:
    chart = kind(
        css=[], js=[], width=WIDTH, height=HEIGHT, margin=4, margin_right=14, spacing=6,
        show_legend=False, disable_xml_declaration=True, x_labels_major_every=max(1, -(-len(labels) // LABELS)),
        show_minor_x_labels=False, truncate_label=-1, min_scale=2, max_scale=5, include_x_axis=True,
        allow_interruptions=True, no_data_text="", **options,
    )  # fmt: skip
    chart.x_labels = list(labels)
    for title, values in series.items():
        chart.add(title, list(values))
    chart.add_xml_filter(lambda root: _strip(root, name))
    return trusted(chart.render())


def _strip(root: Any, name: str) -> Any:
    """Return the named shapes alone: no script, no style, and nothing that only pygal's script reads."""
    for group in list(root.iter()):
        for child in list(group):
            if child.tag in UNUSED_TAGS or child.get("class") in UNUSED_GROUPS or not isinstance(child.tag, str):
                group.remove(child)
    for attribute, value in (("role", "img"), ("aria-label", name)):
        root.set(attribute, value)
    root.attrib.pop("id", None)
    return root
