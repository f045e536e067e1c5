"""The look: one Gradio theme, one style sheet, one small script. System fonts only; nothing is fetched from elsewhere.

The palette is a nautical chart's: petrol for what acts, cool grey for what rests, and chart magenta, used by
hydrographers for notes laid over a map, for citations and focus. Contrast is WCAG AA in light and dark
(tests/browser/test_look.py).
"""

from __future__ import annotations

from pathlib import Path

from gradio.themes.base import Base
from gradio.themes.utils.colors import Color
from gradio.themes.utils.sizes import Size

STATIC = Path(__file__).parents[1] / "static"

PETROL = (
    *("#eef6f7", "#d7eaed", "#b1d6db", "#7fbcc5", "#4a9ba8", "#22798a"),
    *("#0f6070", "#0b4f5d", "#093f4a", "#07323b", "#04222a"),
)
SLATE = (
    *("#f5f8f8", "#e9eff0", "#d9e2e4", "#bfcccf", "#92a5aa", "#6b7f85"),
    *("#506369", "#3a4b51", "#22343a", "#131f24", "#0c1519"),
)
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


def _scale(name: str, shades: tuple[str, ...]) -> Color:
    return Color(*shades, name=name)


def theme() -> Base:
    """The theme for `mount_gradio_app(theme=...)`."""
    petrol, slate = _scale("petrol", PETROL), _scale("slate", SLATE)
    radius = Size("2px", "3px", "4px", "8px", "10px", "14px", "18px", name="radius_chart")
    base = Base(
        primary_hue=petrol, secondary_hue=petrol, neutral_hue=slate, radius_size=radius, font=SANS, font_mono=MONO
    )
    return base.set(**_surfaces(), **_inputs(), **_buttons())


def _surfaces() -> dict[str, str]:
    return {
        "body_background_fill": "*neutral_50",
        "body_background_fill_dark": "*neutral_950",
        "body_text_color": "#15262c",
        "body_text_color_dark": "#dde8e9",
        "body_text_color_subdued": "*neutral_600",
        "body_text_color_subdued_dark": "#9db0b5",
        "background_fill_primary": "#ffffff",
        "background_fill_primary_dark": "*neutral_900",
        "background_fill_secondary": "*neutral_50",
        "background_fill_secondary_dark": "*neutral_950",
        "border_color_primary": "*neutral_200",
        "border_color_primary_dark": "*neutral_800",
        "color_accent_soft": "*primary_50",
        "color_accent_soft_dark": "#10272d",
        "link_text_color": "*primary_600",
        "link_text_color_dark": "*primary_300",
        "link_text_color_hover": "*primary_700",
        "link_text_color_hover_dark": "*primary_200",
        "block_background_fill": "#ffffff",
        "block_background_fill_dark": "*neutral_900",
        "block_border_width": "1px",
        "block_shadow": "none",
        "block_label_background_fill": "transparent",
        "block_label_background_fill_dark": "transparent",
        "block_label_border_width": "0px",
        "block_label_text_color": "*neutral_600",
        "block_label_text_color_dark": "#9db0b5",
        "block_title_text_color": "*neutral_600",
        "block_title_text_color_dark": "#9db0b5",
        "block_title_text_weight": "600",
        "panel_background_fill": "transparent",
        "panel_border_width": "0px",
        "code_background_fill": "*neutral_100",
        "code_background_fill_dark": "#0f1b20",
        "loader_color": "*primary_500",
        "error_icon_color": "#9b1c1c",
        "error_icon_color_dark": "#ffb4ab",
    }


def _inputs() -> dict[str, str]:
    return {
        "input_background_fill": "#ffffff",
        "input_background_fill_dark": "*neutral_900",
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
        "checkbox_label_background_fill_selected": "*primary_50",
        "checkbox_label_background_fill_selected_dark": "#10272d",
        "slider_color": "*primary_500",
    }


def _buttons() -> dict[str, str]:
    return {
        "button_border_width": "1px",
        "button_primary_background_fill": "*primary_600",
        "button_primary_background_fill_hover": "*primary_700",
        "button_primary_background_fill_dark": "*primary_300",
        "button_primary_background_fill_hover_dark": "*primary_200",
        "button_primary_border_color": "transparent",
        "button_primary_text_color": "#ffffff",
        "button_primary_text_color_dark": "*primary_950",
        "button_primary_shadow": "none",
        "button_secondary_background_fill": "#ffffff",
        "button_secondary_background_fill_hover": "*primary_50",
        "button_secondary_background_fill_dark": "*neutral_900",
        "button_secondary_background_fill_hover_dark": "#10272d",
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


def css() -> str:
    """The style sheets for `mount_gradio_app(css=...)`, as one."""
    return "\n".join(
        (STATIC / name).read_text(encoding="utf-8") for name in ("page.css", "tour.css", "feedback.css", "insights.css")
    )


def head() -> str:
    """What goes into the page's head: the viewport, the icon and the light-dark switch."""
    script = (STATIC / "page.js").read_text(encoding="utf-8")
    return (
        '<meta name="color-scheme" content="light dark">'
        '<meta name="description" content="Ask about Qubinode Navigator, walk a tour, or run the diagnostics.">'
        f"<script>{script}</script>"
    )


def script(name: str) -> str:
    """One of the page's own files, as text."""
    return (STATIC / name).read_text(encoding="utf-8")
