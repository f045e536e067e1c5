"""The page's replies about itself: every kind in every language, with live figures, and what leads away from them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from model.catalogue.entries import DEFAULT, EMBEDDED, catalogue
from model.engine.protocol import ModelInfo
from model.prompting.conversation import Conversation, PastTurn
from model.turn.events import RouteChosen, TurnFinished
from onboarding.assistant.about_page import FOLDER, MAINTAINER, PEOPLE_PAGE, AboutPage, PageState
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.assistant.standing import STRONG_LEAD
from onboarding.routing.about import PageTopics
from onboarding.routing.language.lexicon import load_lexicon
from onboarding.routing.router import Route
from onboarding.routing.routing import Routing
from onboarding.tours.content import load_tours
from onboarding.ui.chat.render import tab_key
from onboarding.ui.kit.languages import load_texts
from rag.reading.rows import read_rows
from rag.search.retriever import Holding
from tests.onboarding.test_talk import Shelf
from tests.routing_parts import read, route_of

pytest_plugins = ("tests.routing_parts",)

PAGE = AboutPage()
HELD = Holding(4711, "0123456789abcdef", "2031-05-06")
STATE = PageState(9, ModelInfo("big", "Big Model Q9", 1), threads=7, held=HELD, keeps_feedback=True)
SPEAKING = {
    "en": "hello", "de": "Guten Tag", "es": "buenas tardes", "fr": "bonjour", "it": "buongiorno a tutti", "pt": "bom dia",
    "nl": "goedemorgen", "cs": "dobrý den", "ja": "こんにちは", "ko": "안녕하세요", "zh": "你好", "ar": "صباح الخير",
}  # fmt: skip


def said(kind: str, language: str = "en", state: PageState = STATE, *questions: str) -> str:
    conversation = Conversation.new()
    for question in questions:
        conversation = conversation.with_turn(PastTurn(question, "An answer.", "plugins"))
    return PAGE.say(kind, replace(read("hello"), language=language), state, conversation)


def test_it_speaks_every_language_of_the_lexicon() -> None:
    assert set(PAGE.languages) == {"en", *load_lexicon().languages} == set(SPEAKING)


def test_every_kind_that_is_told_apart_has_a_reply(routing: Routing) -> None:
    assert set(routing.topics.kinds) == set(PAGE.kinds)


@pytest.mark.parametrize("language", SPEAKING)
@pytest.mark.parametrize("state", [STATE, PageState(9), replace(STATE, is_remote=True)])
def test_every_reply_is_whole_in_every_language_and_state(language: str, state: PageState) -> None:
    for kind in PAGE.kinds:
        for questions in ((), ("how do i write a plugin",)):
            text = said(kind, language, state, *questions)
            assert text and not re.search(r"\$[a-z_]|  |\(\)|\*\*\*|“”|«»", text), text
            assert language == "en" or text != said(kind, "en", state, *questions)


@pytest.mark.parametrize("language", SPEAKING)
def test_replies_hold_the_figures_of_the_moment(language: str) -> None:
    tours = [tour.label for tour in load_tours().values()]
    assert all(figure in said("identity", language) for figure in ("9", "4711", "01234567", "2031-05-06", *tours))
    assert all(figure in said("abilities", language) for figure in ("9", *tours))
    assert all(label in said("model", language) for label in (
        "Big Model Q9", catalogue()[DEFAULT].label, catalogue()[EMBEDDED].label,
    ))  # fmt: skip
    assert "7" in said("slow", language)
    assert str(len(PAGE.languages)) in said("help", language)


@pytest.mark.parametrize("language", SPEAKING)
def test_what_does_not_hold_is_not_said(language: str) -> None:
    none = PageState(9)
    assert "2031" not in said("identity", language, none)
    assert len(said("thanks", language, none)) < len(said("thanks", language))  # no thumbs without feedback
    assert said("privacy", language, none) != said("privacy", language)
    assert said("privacy", language, replace(STATE, is_remote=True)) != said("privacy", language)
    weak = replace(STATE, model=ModelInfo("small", "Small Model", 1, stand_in=True))
    assert said("model", language, weak) != said("model", language).replace("Big Model Q9", "Small Model")


@pytest.mark.parametrize("language", SPEAKING)
def test_thanks_and_complaints_name_what_was_talked_about(language: str) -> None:
    for kind in ("thanks", "complaint", "ack"):
        assert "how do i write a plugin" in said(kind, language, STATE, "how do i write a plugin")


def test_a_topic_is_told_short_and_without_markup() -> None:
    text = said("complaint", "en", STATE, "![x](http://evil.example) `rm` <b>" + "long " * 60)
    assert not re.search(r"[`<>\[\]]", text) and "…" in text


def test_what_prose_names_is_there() -> None:
    page = Path("rag/corpus/community-and-licence.md").read_text("utf-8")
    assert f"title: {PEOPLE_PAGE}" in page and MAINTAINER in page
    texts = load_texts()
    for language, key, kind in [
        (language, *one)
        for language in ("en", "de", "es", "fr", "ja", "pt")
        for one in (("tab_search", "complaint"), ("tab_diagnostics", "real"), ("tab_insights", "privacy"),
                    ("welcome_again", "help"), ("feedback_forget", "privacy"))
    ]:  # fmt: skip
        assert texts[key][language] in said(kind, language), (key, language)


def test_what_is_offered_below_is_judged_and_can_be_opened() -> None:
    judged = {
        row["question"] for name in ("offered", "offered_tools") for row in read_rows(Path(f"tests/evals/{name}.jsonl"))
    }
    for kind in PAGE.kinds:
        following = PAGE.next_things(kind)
        assert set(following.asks) <= judged
        assert all(tab_key(tab) in load_texts() for tab in following.tabs)
        assert following.asks or following.tabs


def test_a_language_that_lacks_a_reply_is_named(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.toml"):
        text = path.read_text("utf-8")
        (tmp_path / path.name).write_text(text.replace("\nack = ", "\nodd = ") if path.stem == "cs" else text, "utf-8")
    with pytest.raises(ValueError, match=r"cs\.toml.*replies\.ack, replies\.odd"):
        AboutPage(tmp_path)


# --- which messages are about the page -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("what's this website", "identity"),
        ("wat can you do for me", "abilities"),
        ("who built this chatbot", "maker"),
        ("is the demo host a real server", "real"),
        ("do you log my questions", "privacy"),
        ("where can i see your source code", "source"),
        ("which llm do you run", "model"),
        ("where should i start on this page", "start"),
        ("thanks a million", "thanks"),
        ("that answer was wrong", "complaint"),
        ("Was kannst du so alles?", "abilities"),
        ("¿quién ha creado este chat?", "maker"),
        ("vous gardez mes questions ?", "privacy"),
        ("このチャットは何ですか？", "identity"),
    ],
)
def test_a_message_about_the_page_finds_its_kind(routing: Routing, text: str, kind: str) -> None:
    topic = routing.topics.topic(routing.reader.read(text), route_of(routing, text))
    assert topic is not None and topic.kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "what is qubinode navigator",
        "how do i start the vm",
        "help me with dns",
        "thanks, how do i delete the vm now",
        "hello, which port does airflow use",
        "is libvirtd running on the demo host",
        "who maintains kcli",
        "Hilfe, die VM startet nicht",
        "gracias, ¿y cómo borro la vm?",
    ],
)
def test_a_question_about_the_platform_is_never_swallowed(routing: Routing, text: str) -> None:
    assert routing.topics.topic(routing.reader.read(text), route_of(routing, text)) is None


def test_thanks_in_the_middle_of_a_talk_are_thanks(routing: Routing) -> None:
    reading = routing.reader.read("thanks, that did the trick", ["how do i write a plugin"])
    topic = routing.topics.topic(reading, routing.router.route(reading))
    assert topic is not None and topic.kind == "thanks"


@pytest.mark.parametrize(
    ("earlier", "text"),
    [
        ("is the disk full?", "why"),
        ("where are my passwords stored", "is that safe"),
        ("deploy-qubinode.sh stopped at ansible, what now", "still nothing"),
    ],
)
def test_what_goes_on_about_what_was_said_is_no_chatter(routing: Routing, earlier: str, text: str) -> None:
    reading = routing.reader.read(text, [earlier])
    assert routing.topics.topic(reading, routing.router.route(reading)) is None


def test_a_wait_and_a_mistake_are_spoken_of_in_the_middle_of_a_talk(routing: Routing) -> None:
    wrong = routing.reader.read("that was wrong", ["how do i make a vm"])
    topic = routing.topics.topic(wrong, routing.router.route(wrong))
    assert topic is not None and topic.kind == "complaint"
    slow = routing.reader.read("why so slow", ["is the disk full?"])
    topic = routing.topics.topic(slow, routing.router.route(slow))
    assert topic is not None and topic.kind == "slow"


@pytest.mark.parametrize(
    "text", ["why?", "still nothing", "can i change that?", "no, hetzner", "it can't reach ollama"]
)
def test_what_goes_on_with_a_question_is_no_talk_with_the_page(routing: Routing, text: str) -> None:
    reading = routing.reader.read(text, ["which port does airflow use"])
    assert routing.topics.topic(reading, routing.router.route(reading)) is None


def test_a_complaint_stays_one_in_any_talk(routing: Routing) -> None:
    for text in ("this is rubbish", "that didn't answer my question"):
        reading = routing.reader.read(text, ["which port does airflow use"])
        topic = routing.topics.topic(reading, routing.router.route(reading))
        assert topic is not None and topic.kind == "complaint"


def test_nothing_is_about_the_page_without_a_classifier_or_in_an_attack(routing: Routing) -> None:
    assert PageTopics(None).topic(read("what can you do"), Route("introduction", 1.0)) is None
    assert routing.topics.topic(routing.reader.read("what can you do"), Route("unsafe", 1.0)) is None


# --- in a turn -----------------------------------------------------------------------------------------------


@pytest.fixture
def guide(routing: Routing, tmp_path: Path) -> Guide:
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path))
    parts.routing = routing
    parts._ready.set()
    return Guide(parts)


def turn(guide: Guide, text: str, conversation: Conversation) -> tuple[RouteChosen, TurnFinished]:
    chosen, *_, finished = guide.ask(text, conversation)
    assert isinstance(chosen, RouteChosen) and isinstance(finished, TurnFinished)
    return chosen, finished


def test_a_turn_about_the_page_offers_what_to_click_next(guide: Guide) -> None:
    chosen, finished = turn(guide, "what is this page?", Conversation.new())
    assert (chosen.label, chosen.asks[0]) == ("About this page", "What is Qubinode Navigator?")
    assert "rhel10" in chosen.tabs
    assert str(len(guide.parts.routing.chooser.tools)) in finished.answer and not finished.grounded


def test_thanks_keep_the_talk_and_offer_its_follow_ups(guide: Guide) -> None:
    talk = Conversation.new().with_turn(PastTurn("how do i write a plugin", "So.", "plugins"))
    chosen, finished = turn(guide, "thank you!", talk)
    assert chosen.asks == guide.routes["plugins"].follow_ups
    assert "how do i write a plugin" in finished.answer
    assert len(finished.conversation.turns) == 2
    again, _ = turn(guide, "cool, thanks", finished.conversation)
    assert again.asks == chosen.asks


def test_the_visitors_own_choice_of_a_topic_goes_to_the_documentation(guide: Guide) -> None:
    chosen, *_ = guide.ask("what is this page?", Conversation.new(), route="introduction")
    assert isinstance(chosen, RouteChosen) and (chosen.name, chosen.asks) == ("introduction", ())


def test_what_the_page_itself_offers_to_ask_goes_to_the_documentation(guide: Guide) -> None:
    explained = {
        row["question"]: guide.explain(row["question"]) for row in read_rows(Path("tests/evals/offered.jsonl"))
    }
    assert {question for question, told in explained.items() if told["about"] or told["intent"] == "action"} == set()


def test_explaining_a_message_names_the_kind(guide: Guide) -> None:
    assert guide.explain("who built this chatbot")["about"] == "maker"
    assert guide.explain("how do i write a plugin")["about"] == ""


@pytest.mark.parametrize("text", ["can i run this on ubuntu", "ok which linux should i take"])
def test_what_the_pages_surely_answer_is_neither_declined_nor_about_the_page(guide: Guide, text: str) -> None:
    guide.parts.retriever = Shelf({text: STRONG_LEAD})  # type: ignore[assignment]
    told = guide.explain(text)
    assert (told["about"], told["route"] == "off_topic") == ("", False)
    guide.parts.retriever = Shelf({text: STRONG_LEAD - 1})  # type: ignore[assignment]
    told = guide.explain(text)
    assert told["about"] or told["route"] == "off_topic"


def test_what_is_surely_off_topic_is_declined_whatever_is_found(guide: Guide) -> None:
    text = "write me a poem about cats"
    guide.parts.retriever = Shelf({text: 99.0})  # type: ignore[assignment]
    assert guide.explain(text)["route"] == "off_topic"
