"""L3 and L5 over the embedded model: what grows in hours of visitors, and how quick the page stays beside four answers."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tests.hardening.serving import App, running
from tests.hardening.verdict import Verdict, quantile
from tests.hardening.visitors import HOST, QUESTIONS, Page, Visit

MODEL = "smollm2-135m"
CACHE_MB = "200"  # reached while warming up; the cap is what keeps the prefix cache from growing
WARM_UP = 0.25  # share of the time that is not judged
SAMPLE_S = 5.0
PAUSE_S = (2.0, 12.0)  # between two things that a visitor does
STAYS = 4  # questions of one visit, about
LEAVES = 0.1  # share of visitors who close the page in the middle of an answer
TOOLS = ("system_info", "resource_usage")


@dataclass(frozen=True, slots=True)
class Sample:
    """The process and its children at one moment."""

    at_s: float
    rss_mb: float
    threads: int
    files: int


def soak(folder: Path, minutes: float = 20.0, visitors: int = 20) -> Verdict:
    """Visitors who ask, search, run tools, and leave in the middle."""
    with running(folder, MODEL=MODEL, CACHE_MB=CACHE_MB) as app:
        app.wait_until_ready()
        visits, statuses, samples = asyncio.run(_visited(app, minutes * 60, visitors))
        log = app.log
    judged = [sample for sample in samples if WARM_UP <= sample.at_s / (minutes * 60) <= 1]  # later they go home
    growth = {name: _growth(judged, name) for name in ("rss_mb", "threads", "files")}
    faults = {status: count for status, count in statuses.items() if status >= 500 and status != 503}
    outcomes = Counter(visit.outcome for visit in visits)
    figures = {
        "statuses": statuses, "outcomes": dict(outcomes), "growth": growth, "tracebacks": log.count("Traceback"),
        "lost": [visit.said for visit in visits if visit.outcome == "lost"][:10],
        "first_text_s": {str(q): round(quantile([v.first_text_s for v in visits if v.first_text_s], q), 1) for q in (0.5, 0.95)},
        "samples": [asdict(sample) for sample in samples[:: max(1, len(samples) // 40)]],
    }  # fmt: skip
    ok = not faults and not outcomes["lost"] and max(growth.values()) < 0.05
    return Verdict(
        "L3", f"soak: {visitors} visitors, {minutes:g} minutes, {MODEL}",
        "no 5xx but the polite 503; RSS growth < 5 % after warm-up; threads and open files flat",
        f"{sum(statuses.values())} requests, {len(visits)} questions ({', '.join(f'{n} {o}' for o, n in outcomes.items())}), "
        f"{sum(faults.values())} 5xx, {figures['tracebacks']} tracebacks; RSS {judged[0].rss_mb:.0f} -> {judged[-1].rss_mb:.0f} MB "
        f"({growth['rss_mb']:+.1%}), threads {growth['threads']:+.1%}, files {growth['files']:+.1%}",
        ok, figures,
    )  # fmt: skip


def responsive(folder: Path, seconds: float = 60.0, visitors: int = 4) -> Verdict:
    """How long the health check and the page's shell take while so many visitors have answers written."""
    with running(folder, MODEL=MODEL) as app:
        app.wait_until_ready()
        took, visits = asyncio.run(_looked(app, seconds, visitors))
    worst = {path: quantile(times, 0.95) for path, times in took.items()}
    median = {path: quantile(times, 0.5) for path, times in took.items()}
    found = ", ".join(f"{path}: median {median[path] * 1000:.0f} ms, p95 {worst[path] * 1000:.0f} ms" for path in took)
    count = sum(visit.outcome == "answered" for visit in visits)
    requests = {path: len(times) for path, times in took.items()}
    figures = {"p95_s": worst, "median_s": median, "requests": requests, "answers": count}
    return Verdict("L5", f"{visitors} visitors generate with {MODEL} for {seconds:g} s", "p95 < 500 ms",
                   f"{found} ({count} answers meanwhile)", max(worst.values()) < 0.5 and count > 0, figures)  # fmt: skip


def _growth(samples: Sequence[Sample], name: str) -> float:
    """Of the median of the last quarter over that of the first."""
    quarter = max(1, len(samples) // 4)
    first, last = (
        statistics.median(getattr(s, name) for s in part) for part in (samples[:quarter], samples[-quarter:])
    )
    return float(last / first - 1)


async def _visited(app: App, seconds: float, visitors: int) -> tuple[list[Visit], dict[int, int], list[Sample]]:
    visits: list[Visit] = []
    samples: list[Sample] = []
    async with Page(app.url) as page:
        end = time.monotonic() + seconds
        watching = asyncio.create_task(_watch(app, samples))
        await asyncio.gather(*(_visitor(page, random.Random(number), visits, end) for number in range(visitors)))
        watching.cancel()
        return visits, dict(Counter(page.statuses)), samples


async def _visitor(page: Page, chance: random.Random, visits: list[Visit], end: float) -> None:
    while time.monotonic() < end:
        session = uuid.uuid4().hex[:12]
        await page.get("/")
        await page.get("/config")
        async with page.staying(session):
            for _ in range(chance.randint(1, 2 * STAYS - 1)):
                await asyncio.sleep(chance.uniform(*PAUSE_S))
                if time.monotonic() > end:
                    return
                await page.post("/gradio_api/call/search", [chance.choice(QUESTIONS), 5])
                await page.post(f"/gradio_api/call/{chance.choice(TOOLS)}", [HOST])
                leave = chance.uniform(0.5, 4) if chance.random() < LEAVES else 0.0
                visits.append(await page.ask(chance.choice(QUESTIONS), session, leave=leave))
                if leave:
                    break


async def _watch(app: App, samples: list[Sample]) -> None:
    began, process = time.monotonic(), psutil.Process(app.process.pid)
    while True:
        family = [process, *process.children(recursive=True)]
        samples.append(
            Sample(
                round(time.monotonic() - began, 1),
                round(sum(one.memory_info().rss for one in family) / 1e6, 1),
                sum(one.num_threads() for one in family),
                sum(one.num_fds() for one in family),
            )
        )
        await asyncio.sleep(SAMPLE_S)


async def _looked(app: App, seconds: float, visitors: int) -> tuple[dict[str, list[float]], list[Visit]]:
    took: dict[str, list[float]] = {"/healthz": [], "/": []}
    visits: list[Visit] = []
    async with Page(app.url) as page:
        asking = [asyncio.create_task(_keep_asking(page, visits, number)) for number in range(visitors)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for path, times in took.items():
                times.append(await page.get(path))
                await asyncio.sleep(0.1)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return took, visits


async def _keep_asking(page: Page, visits: list[Visit], number: int) -> None:
    while True:
        visits.append(await page.ask(QUESTIONS[(number + len(visits)) % len(QUESTIONS)]))
