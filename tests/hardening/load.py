"""L1, L2 and L4: a crowd, a queue that follows from what answers take, and one client that floods."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.hardening.serving import App, running
from tests.hardening.verdict import Verdict, quantile
from tests.hardening.visitors import QUESTIONS, Page, Visit, never_overtaken

PACED = ("-m", "tests.hardening.paced")
WARM = 6  # answers before the crowd, so that what an answer takes is known
LONGEST_WAIT_S = 60.0
FLOODERS = 20  # loops of the one client
HONEST = ("198.51.100.7", "203.0.113.9")
FLOODING = "192.0.2.66"
EVERY_S = 8.0  # an honest visitor's questions; the gate allows eight a minute


def join(folder: Path, sizes: Sequence[int] = (50, 200), answer_s: float = 1.0) -> Verdict:
    """So many visitors at once: each is answered, or told at once how long to wait."""
    with running(folder, PACED, PACED_S=str(answer_s)) as app:
        app.wait_until_ready()
        crowds = asyncio.run(_crowds(app, sizes))
    figures = {str(len(visits)): _summary(visits) for visits in crowds}
    found = "; ".join(
        f"{size}: {of['answered']} answered (last began after {of['longest_wait_s']} s), {of['refused']} told to come "
        f"back in {of['told_s'] or '-'} s (within {of['refusal_s']} s), {len(of['lost'])} lost"
        for size, of in figures.items()
    )
    ok = all(not of["lost"] and of["in_order"] for of in figures.values())
    return Verdict(
        "L1", f"{' then '.join(map(str, sizes))} visitors at once, {answer_s:g} s an answer, four at a time",
        "served in order up to the queue's size, the rest told the wait, none hangs, none lost",
        found + ("; nobody was overtaken" if all(of["in_order"] for of in figures.values()) else "; OVERTAKEN"),
        ok, figures,
    )  # fmt: skip


def queue(folder: Path, seconds: Sequence[float] = (1.0, 4.0), visitors: int = 60) -> Verdict:
    """How many are let in follows from what an answer takes, here by a machine that gains nothing from batching."""
    figures = {}
    for answer_s in seconds:
        env = {"PACED_S": str(answer_s), "PACED_ALONE": "1"}
        with running(folder, PACED, **env) as app:
            app.wait_until_ready()
            figures[f"{answer_s:g} s"] = _summary(asyncio.run(_crowds(app, [visitors], warm=3))[0])
    longest = max(of["longest_wait_s"] for of in figures.values())
    served = "; ".join(f"{name}: {of['answered']} let in, {of['refused']} not" for name, of in figures.items())
    ok = longest <= LONGEST_WAIT_S and not any(of["lost"] for of in figures.values())
    return Verdict("L2", f"{visitors} at once on a machine that takes so long for each answer",
                   f"nobody waits over {LONGEST_WAIT_S:g} s", f"{served}; longest wait {longest} s", ok, figures)  # fmt: skip


def flood(folder: Path, seconds: float = 60.0, answer_s: float = 1.0) -> Verdict:
    """Two honest visitors before and while another address sends whatever it can."""
    env = {"PACED_S": str(answer_s), "ASKS_PER_MINUTE": "12", "TRUST_PROXY": "127.0.0.0/8"}
    with running(folder, PACED, **env) as app:
        app.wait_until_ready()
        before, during, sent = asyncio.run(_flooded(app, seconds))
    medians = [statistics.median(visit.end_s for visit in visits) for visits in (before, during)]
    means = [statistics.mean(visit.end_s for visit in visits) for visits in (before, during)]
    change = medians[1] / medians[0] - 1
    refused = sum(visit.outcome != "answered" for visit in sent)
    lost = [visit.said for visit in (*before, *during) if visit.outcome != "answered"]
    figures = {
        "before_s": [round(visit.end_s, 2) for visit in before], "during_s": [round(visit.end_s, 2) for visit in during],
        "medians_s": medians, "means_s": means, "sent": len(sent), "refused": refused, "honest_not_answered": lost,
    }  # fmt: skip
    return Verdict(
        "L4", f"one client floods for {seconds:g} s ({FLOODERS} at once, {len(sent)} questions, {refused} refused)",
        "others' wait changes by < 10 %",
        f"median {medians[0]:.2f} -> {medians[1]:.2f} s ({change:+.1%}), mean {means[0]:.2f} -> {means[1]:.2f} s, "
        f"{len(lost)} of {len(before) + len(during)} not answered",
        change < 0.1 and not lost, figures,
    )  # fmt: skip


async def _crowds(app: App, sizes: Sequence[int], warm: int = WARM) -> list[list[Visit]]:
    async with Page(app.url) as page:
        for number in range(warm):
            await page.ask(QUESTIONS[number % len(QUESTIONS)])
        crowds = []
        for size in sizes:
            questions = [QUESTIONS[number % len(QUESTIONS)] for number in range(size)]
            crowds.append(list(await asyncio.gather(*(page.ask(question) for question in questions))))
        return crowds


def _summary(visits: Sequence[Visit]) -> dict[str, Any]:
    answered = [visit for visit in visits if visit.outcome == "answered"]
    refused = [visit for visit in visits if visit.outcome == "refused"]
    told = sorted({visit.told_s for visit in refused})
    return {
        "answered": len(answered),
        "refused": len(refused),
        "lost": [visit.said for visit in visits if visit.outcome == "lost"],
        "longest_wait_s": math.ceil(max((visit.first_text_s for visit in answered), default=0.0)),
        "told_s": f"{told[0]}-{told[-1]}" if told else "",
        "refusal_s": round(max((visit.end_s for visit in refused), default=0.0), 1),
        "refusal_median_s": round(quantile([visit.end_s for visit in refused], 0.5), 1),
        "in_order": never_overtaken(visits),
    }


async def _flooded(app: App, seconds: float) -> tuple[list[Visit], list[Visit], list[Visit]]:
    async with AsyncExitStack() as stack:
        page, enemy = [await stack.enter_async_context(Page(app.url)) for _ in range(2)]
        await page.ask(QUESTIONS[0], address=HONEST[0])
        before = await _honest(page, seconds)
        sent: list[Visit] = []
        flooding = [asyncio.create_task(_flood(enemy, sent)) for _ in range(FLOODERS)]
        during = await _honest(page, seconds)
        for task in flooding:
            task.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)
        return before, during, sent


async def _honest(page: Page, seconds: float) -> list[Visit]:
    return [
        visit for visits in await asyncio.gather(*(_asks(page, who, seconds) for who in HONEST)) for visit in visits
    ]


async def _asks(page: Page, address: str, seconds: float) -> list[Visit]:
    visits: list[Visit] = []
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        visits.append(await page.ask(QUESTIONS[len(visits) % len(QUESTIONS)], address=address))
        await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
    return visits


async def _flood(page: Page, sent: list[Visit]) -> None:
    while True:
        sent.append(await page.ask(QUESTIONS[len(sent) % len(QUESTIONS)], address=FLOODING))
