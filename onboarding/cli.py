"""Prints route, confidence, kind about the page, and tool choice of one message: `python -m onboarding MESSAGE`."""

import argparse
import json
import sys
from collections.abc import Sequence

from onboarding.routing.about import PageTopic
from onboarding.routing.classifier import ArtefactStale
from onboarding.routing.router import Route
from onboarding.routing.routing import load_routing
from onboarding.routing.tool_choice import ToolChoice
from rag.embedding.embedder import Embedder
from rag.errors import ModelMissing

SHOWN = 3  # routes in the list of what else it might be


def main(argv: Sequence[str]) -> int:
    """Read the message and print what it was taken for; 1 when a part is missing, with the remedy."""
    options = _parser().parse_args(argv)
    text, history = " ".join(options.message), options.after
    try:
        routing = load_routing(Embedder())
    except (ArtefactStale, ModelMissing) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    reading = routing.reader.read(text, history)
    route = routing.router.route(reading)
    topic = routing.topics.topic(reading, route)
    choice = routing.chooser.choose(reading, route)
    likeliest = sorted(routing.router.probabilities(reading).items(), key=lambda pair: -pair[1])[:SHOWN]
    print(_json(route, topic, choice, likeliest) if options.json else _text(route, topic, choice, likeliest))
    return 0


def _text(route: Route, topic: PageTopic | None, choice: ToolChoice, likeliest: Sequence[tuple[str, float]]) -> str:
    others = ", ".join(f"{name} {p:.2f}" for name, p in likeliest if name != route.name)
    call = f"{choice.tool or 'all tools'}({_arguments(choice)})" if choice.intent == "check" else "no tool"
    return "\n".join(
        [
            f"route   {route.name} {route.confidence:.2f}" + (f"   (then {others})" if others else ""),
            f"about   {topic.kind} {topic.confidence:.2f}" if topic else "about   no page topic",
            f"intent  {choice.intent} {choice.confidence:.2f}" + ("" if choice.is_sure else "   (unsure)"),
            f"call    {call}",
        ]
    )


def _arguments(choice: ToolChoice) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in choice.args.items())


def _json(route: Route, topic: PageTopic | None, choice: ToolChoice, likeliest: Sequence[tuple[str, float]]) -> str:
    result = {
        "route": route.name,
        "confidence": round(route.confidence, 3),
        "likeliest": {name: round(p, 3) for name, p in likeliest},
        "about": topic.kind if topic else "",
        "intent": choice.intent,
        "tool": choice.tool,
        "args": choice.args,
        "tool_confidence": round(choice.confidence, 3),
    }
    return json.dumps(result, ensure_ascii=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m onboarding", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("message", nargs="+", help="what the visitor writes")
    parser.add_argument("--after", action="append", default=[], help="an earlier message; repeat it, oldest first")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser
