"""The only two places where text becomes HTML that a browser will believe."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup


def fill(template: str, *values: object, **named: object) -> Markup:
    """`template`, a literal of this project, with every value escaped that is not `Markup` itself."""
    return trusted(template).format(*values, **named)


def trusted(html: str) -> Markup:
    """HTML that this project wrote, or that `nh3` or Pygments made safe. Never call it with anything else."""
    return Markup(html)  # noqa: S704


def join(parts: Iterable[Markup]) -> Markup:
    """The parts in a row."""
    return Markup("").join(parts)
