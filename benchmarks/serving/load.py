"""How the service does when ten times as much is asked of it as it can do, and how soon a page shows what it found.

    python benchmarks/serving/load.py [--seconds 60] [--clients 64] [--times 10] [--images 10000] [--model sift]

A collection of drawn pictures is served by a process of its own. First, a few clients that wait for each answer tell
how many pictures a second it embeds. Then many clients ask ten times as often as that, whether or not they have been
answered, each time with another picture; meanwhile a visitor looks at the search page, searches by a picture of the
collection, and asks for a vector of another model. The server's memory is read twice a second. What is refused must be
refused with 429 and a Retry-After; anything else that is no answer is a failure.

Before, with nothing else going on, the search page is timed, by a plain client and, where there is one, in Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import lookalike
import record
from lookalike.models.tuning import usable_cores

SEED = 8
MODELS = ("color", "phash", "sift")
PICTURES = 200
"""Different ones that are asked with."""

OUTSTANDING = 6
"""Requests that a client has under way at most, as a browser has; what it would ask beyond is only counted."""

COMMAND = str(Path(sys.executable).with_name("lookalike"))


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as place:
        os.environ["LOOKALIKE_MODELS"] = str(Path(place) / "models")
        os.environ["XDG_CACHE_HOME"] = str(Path(place) / "cache")
        folder = Path(place) / "pictures"
        draw(folder, options.images)
        began = time.perf_counter()
        collection = lookalike.open(folder)
        collection.add(models=MODELS)
        print(f"{options.images:,} images indexed in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        _, (first, *_) = collection.listing(options.images // 2, 1)
        with serving(folder) as (process, address):
            pages = asyncio.run(page_times(address, first.id))
            pages["chromium"] = in_chromium(address, first.id)
            print(f"pages: {pages}", file=sys.stderr)
            load = asyncio.run(under_load(options, address, process.pid, first.id))
            alive = process.poll() is None
    results = {"images": options.images, "models": list(MODELS), "pages": pages, "runs": [{**load, "alive": alive}]}
    for what in ("asked", "memory_mb", "meanwhile_ms"):
        print(f"{what}: {load[what]}")
    record.write(__file__, options.out or record.HERE / "results" / "serving.json", SEED, results, PACKAGES)


PACKAGES = ("fastapi", "starlette", "uvicorn", "pydantic")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of load [60]")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--times", type=float, default=10, help="what it can embed, asked of it [10]")
    parser.add_argument("--images", type=int, default=10_000, help="of the collection [10000]")
    parser.add_argument("--model", choices=MODELS, default="sift", help="that is asked too much [sift]")
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/serving.json]")
    return parser.parse_args()


# -- what is served, and asked with ------------------------------------------------------------------------------


def drawn(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A smooth background with shapes on it."""
    image = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize((width, height))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        reach = int(rng.integers(4, height // 3))
        shape = pen.ellipse if rng.integers(2) else pen.rectangle
        shape((x, y, x + reach, y + reach), fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    return image


def draw(folder: Path, count: int) -> None:
    rng = np.random.default_rng(SEED)
    for i in range(count):
        path = folder / f"{i // 500:03d}" / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn(rng, 160, 120).save(path, quality=85)


def asked_with(model: str) -> list[dict[str, str]]:
    """Requests for the vectors of pictures that the service has not seen, as large as photos on the web."""
    rng = np.random.default_rng(SEED + 1)
    found = []
    for _ in range(PICTURES):
        out = io.BytesIO()
        drawn(rng, 640, 480).save(out, "JPEG", quality=85)
        found.append({"model": model, "input": f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"})
    return found


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`lookalike serve` on a free port of this machine; it ends with the block."""
    process = subprocess.Popen([COMMAND, "serve", "--port", "0", folder], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[1].rstrip("/")
    finally:
        process.terminate()
        process.wait(timeout=60)


def resident_mb(pid: int) -> float | None:
    """Memory of a process that is in RAM now; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return round(int(found[1]) / 1024, 1) if found else None


# -- a page, with nothing else going on --------------------------------------------------------------------------


async def page_times(address: str, image_id: str) -> dict[str, Any]:
    """Milliseconds from asking for the page to its last byte: the first time, and the median of further ones."""
    rng = np.random.default_rng(SEED + 2)
    out = io.BytesIO()
    drawn(rng, 640, 480).save(out, "JPEG", quality=85)
    async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
        uploaded = (await client.post("/v1/uploads", content=out.getvalue())).json()["id"]
        found: dict[str, Any] = {}
        for what, model in [(what, model) for what in ("stored", "uploaded") for model in MODELS]:
            image = image_id if what == "stored" else uploaded
            taken = []
            for _ in range(20):
                began = time.perf_counter()
                answer = await client.get("/search", params={"image": image, "model": model})
                answer.raise_for_status()
                taken.append((time.perf_counter() - began) * 1e3)
            found[f"{what} {model}"] = {"first_ms": round(taken[0], 1), "median_ms": round(float(np.median(taken)), 1)}
    return found


def in_chromium(address: str, image_id: str) -> dict[str, Any] | None:
    """Milliseconds to the first byte, the first paint, and the first result's thumbnail, in a browser just opened."""
    browser_path = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if browser_path is None:
        print("no Chromium here: what a browser takes is left out", file=sys.stderr)
        return None
    from playwright.sync_api import sync_playwright

    script = """async () => {
        const paint = await new Promise((found) => {
            new PerformanceObserver((seen) => {
                for (const each of seen.getEntries()) if (each.name === "first-contentful-paint") found(each);
            }).observe({type: "paint", buffered: true});
        });
        const [page] = performance.getEntriesByType("navigation");
        const images = performance.getEntriesByType("resource").filter((each) => each.name.includes("/thumbnails/"));
        return {
            first_byte_ms: page.responseStart,
            last_byte_ms: page.responseEnd,
            first_paint_ms: paint.startTime,
            first_thumbnail_ms: Math.min(...images.map((each) => each.responseEnd)),
        };
    }"""
    rows = []
    with sync_playwright() as playwright:
        for _ in range(3):
            browser = playwright.chromium.launch(
                executable_path=browser_path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            )
            tab = browser.new_page(viewport={"width": 1400, "height": 900})
            tab.goto(f"{address}/search?image={image_id}&model=color", wait_until="load")
            rows.append(tab.evaluate(script))
            browser.close()
    return {key: round(float(np.median([row[key] for row in rows])), 1) for key in rows[0]}


# -- load --------------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """What became of requests."""

    sent: int = 0
    held_back: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    accepted_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    retry_after: list[int] = field(default_factory=list)

    async def ask(self, client: httpx2.AsyncClient, request: dict[str, str]) -> None:
        self.sent += 1
        began = time.perf_counter()
        try:
            answer = await client.post("/v1/embeddings", json=request)
        except httpx2.HTTPError as error:
            self.statuses[type(error).__name__] += 1
            return
        taken = (time.perf_counter() - began) * 1e3
        self.statuses[str(answer.status_code)] += 1
        if answer.status_code == 200:
            self.accepted_ms.append(taken)
        elif answer.status_code == 429:
            self.refused_ms.append(taken)
            self.retry_after.append(int(answer.headers["Retry-After"]))

    def told(self, seconds: float) -> dict[str, Any]:
        failed = {status: count for status, count in self.statuses.items() if status not in ("200", "429")}
        return {
            "seconds": round(seconds, 1),
            "sent": self.sent,
            "sent_per_s": round(self.sent / seconds, 1),
            "held_back": self.held_back,
            "accepted": len(self.accepted_ms),
            "accepted_per_s": round(len(self.accepted_ms) / seconds, 1),
            "refused_share": round(len(self.refused_ms) / max(1, self.sent), 4),
            "failed": failed,
            **{f"accepted_p{q}_ms": percentile(self.accepted_ms, q) for q in (50, 99)},
            **{f"refused_p{q}_ms": percentile(self.refused_ms, q) for q in (50, 99)},
            "retry_after_median_s": percentile(self.retry_after, 50),
        }


def percentile(values: list[float] | list[int], q: int) -> float | None:
    return round(float(np.percentile(values, q)), 1) if values else None


async def under_load(options: argparse.Namespace, address: str, pid: int, image_id: str) -> dict[str, Any]:
    requests = asked_with(options.model)
    # A connection that has rested for five seconds is closed by the server: it is not to be tried again by then.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=2.0)
    async with httpx2.AsyncClient(base_url=address, timeout=120, limits=limits) as client:
        able = await capacity(client, requests, min(5.0, options.seconds))
        print(f"embeds {able:.1f} pictures a second with {options.model}", file=sys.stderr)
        asked = Asked()
        interval = options.clients / (options.times * able)
        memory: list[float] = []
        visits: dict[str, list[float]] = {"page": [], "search": [], "other model": [], "refused or failed": []}
        watching = [
            asyncio.ensure_future(watch(pid, memory)),
            asyncio.ensure_future(visit(address, image_id, requests[0], visits)),
        ]
        began = time.perf_counter()
        until = began + options.seconds
        await asyncio.gather(
            *(
                keep_asking(client, requests, i, interval, began + interval * i / options.clients, until, asked)
                for i in range(options.clients)
            )
        )
        seconds = time.perf_counter() - began
        for each in watching:
            each.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        recovered = Asked()
        await recovered.ask(client, requests[0])
    quarter = max(1, len(memory) // 4)
    return {
        "model": options.model,
        "clients": options.clients,
        "cores": usable_cores(),
        "able_per_s": round(able, 2),
        "asked": asked.told(seconds),
        "memory_mb": {
            "before": memory[0] if memory else None,
            "peak": max(memory, default=None),
            "second_quarter_median": percentile(memory[quarter : 2 * quarter], 50),
            "last_quarter_median": percentile(memory[-quarter:], 50),
        },
        "meanwhile_ms": {
            what: {"visits": len(taken), "median": percentile(taken, 50), "p99": percentile(taken, 99)}
            for what, taken in visits.items()
        },
        "answers_afterwards": recovered.statuses == {"200": 1},
    }


async def capacity(client: httpx2.AsyncClient, requests: list[dict[str, str]], seconds: float) -> float:
    """Pictures a second, of sixteen clients that wait for each answer."""
    warm, asked = Asked(), Asked()
    await asyncio.gather(*(warm.ask(client, each) for each in requests[:16]))
    until = time.perf_counter() + seconds

    async def one(start: int) -> None:
        number = start
        while time.perf_counter() < until:
            await asked.ask(client, requests[number % len(requests)])
            number += 16

    began = time.perf_counter()
    await asyncio.gather(*(one(i) for i in range(16)))
    return len(asked.accepted_ms) / (time.perf_counter() - began)


async def keep_asking(
    client: httpx2.AsyncClient,
    requests: list[dict[str, str]],
    number: int,
    interval: float,
    due: float,
    until: float,
    asked: Asked,
) -> None:
    """Ask once an interval from `due` on, answered or not."""
    under_way: set[asyncio.Task[None]] = set()
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        due += interval
        if len(under_way) >= OUTSTANDING:
            asked.held_back += 1
            continue
        task = asyncio.ensure_future(asked.ask(client, requests[(number * 7 + asked.sent) % len(requests)]))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


async def watch(pid: int, memory: list[float]) -> None:
    while True:
        if (now := resident_mb(pid)) is not None:
            memory.append(now)
        await asyncio.sleep(0.5)


async def visit(address: str, image_id: str, request: dict[str, str], visits: dict[str, list[float]]) -> None:
    """What somebody else sees of the service meanwhile, on a connection of their own."""
    other = {**request, "model": next(model for model in MODELS if model != request["model"])}
    async with httpx2.AsyncClient(base_url=address, timeout=120) as client:
        while True:
            for what, ask in (
                ("page", lambda: client.get("/search")),
                ("search", lambda: client.get("/search", params={"image": image_id, "model": request["model"]})),
                ("other model", lambda: client.post("/v1/embeddings", json=other)),
            ):
                began = time.perf_counter()
                answer = await ask()
                visits[what if answer.status_code == 200 else "refused or failed"].append(
                    (time.perf_counter() - began) * 1e3
                )
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
