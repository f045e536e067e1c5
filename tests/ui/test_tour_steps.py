"""A step of a tour is a table in its file: order, numbers, links and counts follow it, exercises go by name."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.tours.content import TOURS, load_tours
from onboarding.ui.page.page import Tab, build_page
from onboarding.ui.tours.contribute import ContributeTour
from onboarding.ui.tours.diagnostics import DiagnosticsTour
from onboarding.ui.tours.plugins import PluginsTour
from onboarding.ui.tours.rhel10 import Rhel10Tour
from onboarding.ui.tours.tour import TourTab
from onboarding.usage.recorder import Usage
from rag.types import Passage, SearchResult
from tests.turn_fakes import FakeSearcher
from tools.simulation.hosts import load_hosts

TABS = (Rhel10Tour, DiagnosticsTour, PluginsTour, ContributeTour)
HOSTS = load_hosts()
EXTRA = '[[steps]]\nname = "Extra"\ntext = "Words alone."\nask = "Why is that?"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tours' files, to change."""
    return Path(shutil.copytree(TOURS, tmp_path / "tours", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


@pytest.fixture
def guide(tmp_path: Path) -> Guide:
    """A guide whose parts are not loaded."""
    return Guide(Parts(PartsSettings(engine="scripted", data=tmp_path)))


def tables(path: Path) -> tuple[str, list[str], str]:
    """The file's head, its `[[steps]]` tables, and what follows them."""
    text, mark = path.read_text(encoding="utf-8"), "[[steps]]\n"
    head, *steps = text.split(mark)
    last, *rest = steps[-1].partition("\n[[kinds]]")
    return head, [mark + step for step in [*steps[:-1], last]], "".join(rest)


def build(tab: TourTab, guide: Guide) -> gr.Blocks:
    """The page with the tour as its one tab beside the chat."""
    return build_page(guide, {host.id: host.title for host in HOSTS.values()}, [Tab(tab.name, tab.build)])


def steps_of(page: gr.Blocks) -> list[tuple[int, str, list[Any]]]:
    """Number, name and components of each step of the page's one tour, in order."""
    steps = [block for block in page.blocks.values() if isinstance(block, gr.Step)]
    return [(step.id, step.label, list(inside(step))) for step in steps]


def inside(block: Any) -> Any:
    for child in getattr(block, "children", []):
        yield child
        yield from inside(child)


def field(page: gr.Blocks, elem_id: str) -> Any:
    return next(block for block in page.blocks.values() if getattr(block, "elem_id", None) == elem_id)


@pytest.mark.parametrize("tour", TABS)
def test_every_step_of_every_tour_is_built_in_the_files_order(tour: type[TourTab], guide: Guide) -> None:
    tab = tour(guide, HOSTS)
    shown = [(number, name) for number, name, _ in steps_of(build(tab, guide))]
    assert shown == [(number, step.name) for number, step in enumerate(load_tours()[tour.name].steps, start=1)]
    assert set(tab.exercises()) == {step.exercise for step in tab.tour.steps if step.exercise}  # no step is without


@pytest.mark.parametrize("tour", TABS)
def test_a_step_with_a_name_a_text_and_a_question_needs_no_python(
    tour: type[TourTab], guide: Guide, folder: Path
) -> None:
    file = folder / f"{tour.name}.toml"
    head, steps, rest = tables(file)
    file.write_text("".join([head, steps[0], EXTRA, *steps[1:], rest]), encoding="utf-8")
    tab = tour(guide, HOSTS, folder)
    page = build(tab, guide)
    number, name, shown = steps_of(page)[1]
    assert (number, name) == (2, "Extra")
    assert [block.value for block in shown if isinstance(block, gr.Markdown)] == ["Words alone."]
    ask = field(page, f"{tour.name}-ask-2")
    assert ask in shown
    assert f"?tour={tour.name}&amp;step=2" in next(block.value for block in shown if isinstance(block, gr.HTML))
    handed = next(fn for fn in page.fns.values() if (ask._id, "click") in fn.targets)
    assert handed.fn is not None
    assert handed.fn(*[given.value for given in handed.inputs])[0] == "Why is that?"
    assert steps_of(page)[2][1] == tab.tour.steps[2].name == load_tours()[tour.name].steps[1].name


@pytest.mark.parametrize("tour", TABS)
def test_a_step_that_was_added_is_linked_to_and_counted(tour: type[TourTab], guide: Guide, folder: Path) -> None:
    file = folder / f"{tour.name}.toml"
    head, steps, rest = tables(file)
    file.write_text("".join([head, *steps, "\n" + EXTRA, rest]), encoding="utf-8")
    tab, last = tour(guide, HOSTS, folder), len(steps) + 1
    usage = Usage([], [], {tab.name: len(tab.tour.steps)})
    build_page(guide, {}, [Tab(tab.name, tab.build)], usage=usage)
    request = gr.Request(None, query_params={"tour": tab.name, "step": str(last)}, session_hash="anna")
    walkthrough, reached, tabs = tab._arrive({}, request)
    assert (walkthrough.selected, reached, tabs.selected) == (last, {tab.name: last}, tab.name)
    labels = {"tour": tab.name, "step": str(last)}
    assert usage.registry.get_sample_value("qubinode_tour_steps_total", labels) == 1.0


@pytest.mark.parametrize("tour", TABS)
def test_steps_can_be_put_in_any_order(tour: type[TourTab], guide: Guide, folder: Path) -> None:
    file = folder / f"{tour.name}.toml"
    head, steps, rest = tables(file)
    file.write_text("\n".join([head, *reversed(steps), rest]), encoding="utf-8")
    page = build(tour(guide, HOSTS, folder), guide)
    assert [name for _, name, _ in steps_of(page)] == [step.name for step in reversed(load_tours()[tour.name].steps)]


@pytest.mark.parametrize(
    ("tour", "left_out", "elem_id", "value"),
    [
        (Rhel10Tour, 0, "tour-host", "cpu-v3-abm"),
        (DiagnosticsTour, 0, "dtour-host", "libvirtd-down"),
        (ContributeTour, 0, "contribute-kind", "docs"),
    ],
)
def test_a_field_that_no_step_shows_keeps_its_first_value_out_of_sight(
    tour: type[TourTab], left_out: int, elem_id: str, value: str, guide: Guide, folder: Path
) -> None:
    file = folder / f"{tour.name}.toml"
    head, steps, rest = tables(file)
    del steps[left_out]
    file.write_text("".join([head, *steps, rest]), encoding="utf-8")
    hidden = field(build(tour(guide, HOSTS, folder), guide), elem_id)
    assert (hidden.is_rendered, hidden.visible, hidden.value) == (True, False, value)


@pytest.mark.parametrize("name", ["readyness", "services"])
def test_an_exercise_that_is_unknown_or_taken_is_refused_with_those_there_are(
    name: str, guide: Guide, folder: Path
) -> None:
    with (folder / "rhel10.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n{EXTRA}exercise = "{name}"\n')
    with pytest.raises(
        ValueError,
        match=rf"^rhel10\.toml: the step 'Extra' names the exercise '{name}', .* each for one step: "
        "readiness, plugin run, deploy command, services$",
    ):
        Rhel10Tour(guide, HOSTS, folder)


def test_a_key_that_no_step_has_is_refused_with_those_there_are(folder: Path) -> None:
    with (folder / "plugins.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n{EXTRA}excercise = "life cycle"\n')
    with pytest.raises(
        ValueError, match=r"plugins\.toml: the step 'Extra' has 'excercise'; .* name, text, ask, topics"
    ):
        load_tours(folder)


def test_a_poisoned_page_that_a_step_looks_up_is_as_inert_as_in_the_chat(guide: Guide, monkeypatch: Any) -> None:
    poison = (
        "Log in [here](https://evil.example/x) <form action='https://evil.example'><input type=password></form> "
        "![x](https://evil.example/y.png) [Source](javascript:alert(1))"
    )
    own = "https://github.com/Qubinode/qubinode_navigator/blob/main/README.md"
    lead = Passage("p", poison, '<img src=x onerror="alert(1)">', (), "a.md", (1, 2), own, 1.0, "")

    found = FakeSearcher(SearchResult([lead], 0.9, poison))
    monkeypatch.setattr(type(guide), "retriever", found)
    page = build(Rhel10Tour(guide, HOSTS), guide)
    look_up = next(fn for fn in page.fns.values() if fn.name == "_look_up")
    assert isinstance(look_up.outputs[0], gr.HTML)  # gr.Markdown would make the links and the form live
    html = look_up.fn("Is RHEL 8 supported?")
    assert re.findall(r'href="([^"]*)"', html) == [own]
    assert not re.search(r"<(?!/?(div|p|a|br|em|strong|code)\b)", html), html
    found.result = SearchResult([replace(lead, url="javascript:alert(1)")], 0.9, poison)
    assert "href" not in look_up.fn("Is RHEL 8 supported?")
