"""Makes the page's look: one Gradio theme, one style sheet, one small script, in the colours of `palette.toml`.

Fonts are the system's; the page fetches nothing from elsewhere. The palette is a nautical chart's: petrol for what
acts, cool grey for what rests, and magenta, the colour of notes laid over a map, for citations and focus. Contrast is
WCAG AA in light and dark (tests/browser/test_look.py).
"""

from __future__ import annotations

from pathlib import Path

from gradio.themes.base import Base
from gradio.themes.utils.colors import Color
from gradio.themes.utils.sizes import Size

from onboarding.ui.kit.palette import Palette

STATIC = Path(__file__).parents[1] / "static"
SHEETS = ("page.css", "tour.css", "feedback.css", "insights.css", "demo.css")

SANS = (
    "ui-sans-serif",
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Liberation Sans",
    "sans-serif",
)
MONO = ("ui-monospace", "SF Mono", "Cascadia Code", "Source Code Pro", "DejaVu Sans Mono", "Consolas", "monospace")


# A colour of the palette -> the theme's variables that have it, in light and, under NAME_dark, in dark.
THEMED = {
    "ink": ("body_text_color",),
    "soft": ("body_text_color_subdued", "block_label_text_color", "block_title_text_color"),
    "paper": ("body_background_fill", "background_fill_secondary"),
    "sheet": (
        *("background_fill_primary", "block_background_fill", "input_background_fill"),
        "button_secondary_background_fill",
    ),
    "act": ("link_text_color", "button_primary_background_fill"),
    "chosen": (
        *("color_accent_soft", "checkbox_label_background_fill_selected"),
        "button_secondary_background_fill_hover",
    ),
    "code": ("code_background_fill",),
    "bad": ("error_icon_color",),
}


def theme(palette: Palette) -> Base:
    """Return the theme for `mount_gradio_app(theme=...)`."""
    petrol, slate = (Color(*palette.hues[hue], name=hue) for hue in ("petrol", "slate"))
    radius = Size("2px", "3px", "4px", "8px", "10px", "14px", "18px", name="radius_chart")
    base = Base(
        primary_hue=petrol, secondary_hue=petrol, neutral_hue=slate, radius_size=radius, font=SANS, font_mono=MONO
    )
    return base.set(**_colours(palette), **_surfaces(), **_inputs(), **_buttons())


def _colours(palette: Palette) -> dict[str, str]:
    pairs = [(name, colour) for colour, names in THEMED.items() for name in names]
    light = {name: palette.light[colour] for name, colour in pairs}
    dark = {f"{name}_dark": palette.dark[colour] for name, colour in pairs}
    return light | dark | {"button_primary_text_color": palette.light["sheet"]}


def _surfaces() -> dict[str, str]:
    return {
        "border_color_primary": "*neutral_200",
        "border_color_primary_dark": "*neutral_800",
        "link_text_color_hover": "*primary_700",
        "link_text_color_hover_dark": "*primary_200",
        "block_border_width": "1px",
        "block_shadow": "none",
        "block_label_background_fill": "transparent",
        "block_label_background_fill_dark": "transparent",
        "block_label_border_width": "0px",
        "block_title_text_weight": "600",
        "panel_background_fill": "transparent",
        "panel_border_width": "0px",
        "loader_color": "*primary_500",
    }


def _inputs() -> dict[str, str]:
    return {
        "input_border_color": "*neutral_300",
        "input_border_color_dark": "*neutral_700",
        "input_border_width": "1px",
        "input_border_color_focus": "*primary_500",
        "input_border_color_focus_dark": "*primary_400",
        "input_placeholder_color": "*neutral_500",
        "input_placeholder_color_dark": "*neutral_400",
        "input_shadow": "none",
        "input_shadow_focus": "0 0 0 3px *primary_100",
        "input_shadow_focus_dark": "0 0 0 3px *primary_900",
        "checkbox_background_color_selected": "*primary_600",
        "checkbox_border_color_selected": "*primary_600",
        "slider_color": "*primary_500",
    }


def _buttons() -> dict[str, str]:
    return {
        "button_border_width": "1px",
        "button_primary_background_fill_hover": "*primary_700",
        "button_primary_background_fill_hover_dark": "*primary_200",
        "button_primary_border_color": "transparent",
        "button_primary_text_color_dark": "*primary_950",
        "button_primary_shadow": "none",
        "button_secondary_border_color": "*neutral_300",
        "button_secondary_border_color_dark": "*neutral_700",
        "button_secondary_text_color": "*body_text_color",
        "button_secondary_shadow": "none",
        "button_large_radius": "*radius_md",
        "button_medium_radius": "*radius_md",
        "button_small_radius": "*radius_md",
        "button_large_text_weight": "600",
        "button_medium_text_weight": "600",
        "button_transition": "background-color .12s, border-color .12s",
    }


def css(palette: Palette) -> str:
    """Return the colours as custom properties and the style sheets for `mount_gradio_app(css=...)`, as one text."""
    return "\n".join([palette.css(), *map(static, SHEETS)])


def head() -> str:
    """Return the tags that the page's head gets: the colour scheme, the description and the light-dark switch."""
    return (
        '<meta name="color-scheme" content="light dark">'
        '<meta name="description" content="Ask about Qubinode Navigator, walk a tour, or run the diagnostics.">'
        f"<script>{static('page.js')}</script><script>{static('demo.js')}</script>"
    )


def static(name: str) -> str:
    """Return the text of a file in `onboarding/ui/static`."""
    return (STATIC / name).read_text(encoding="utf-8")
