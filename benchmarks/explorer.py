"""Speed of the explorer: first view, clicks, prefixes, and 20 visitors at once, in one run.

python -m benchmarks.explorer [ZOO]

The first view and the clicks are a real page in Chromium. With 10,000 and 100,000 RNNs the vectors are synthetic;
prefixes and visitors are of the zoo, whose RNNs answer (a small one is built when none is given).
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from rnn2vec.embedding.many_files import embed_files
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.server import admission_for, application, link
from rnn2vec.index.index import Index
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo

VISITORS, SECONDS, CLICKS = 20, 60.0, 20
CLICK = """row => new Promise((resolve) => {
    const start = performance.now();
    const panel = document.getElementById('panel');
    const seen = new MutationObserver(() => {
        if (!panel.querySelector('.card')) return;
        seen.disconnect();
        resolve((performance.now() - start) / 1000);
    });
    seen.observe(panel, { childList: true });
    location.hash = `id=${row}`;
})"""
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def served(collection: Collection) -> Generator[str]:
    """Serve a collection on any free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        admission = admission_for("127.0.0.1", port := listening.getsockname()[1])
        app: Any = application(collection, admission)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield link("127.0.0.1", port, admission)
        server.should_exit = True
        thread.join()


def synthetic(number: int, folder: Path) -> Collection:
    """Return a collection of random vectors in twelve groups, with runs, steps and a performance."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(12, 16))
    vectors = (centres[generator.integers(12, size=number)] + 0.3 * generator.normal(size=(number, 16))).astype(
        np.float32
    )
    index = Index.build(folder, 16)
    properties = {
        "run": np.arange(number) // 9,
        "step": np.arange(number) % 9 * 100,
        "performance": generator.random(number),
        "task": [f"task {at // 9 % 216}" for at in range(number)],
    }
    index.add([f"rnn {at}" for at in range(number)], vectors, properties)
    return Collection(index, folder)


def settle(collection: Collection) -> None:
    """Wait until everything that a server computes in the background is there."""
    for name in ("outliers", "clusters", "predictors"):
        with contextlib.suppress(Exception):
            collection.jobs.result(name, wait=600)


def first_views(browser: Any, address: str, times: int = 5) -> list[float]:
    """Return the seconds until the map is drawn, in a new window each time."""
    found: list[float] = []
    for _ in range(times):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        start = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("#canvas[data-drawn]:not([data-drawn='0'])", timeout=60_000)
        found.append(time.perf_counter() - start)
        context.close()
    return found


def clicks(browser: Any, address: str, number: int) -> list[float]:
    """Return the seconds from choosing an RNN to its card on the page."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    generator = random.Random(0)
    found = [page.evaluate(CLICK, row) for row in generator.sample(range(number), CLICKS)]
    page.close()
    return found


def prefixes(address: str, number: int) -> list[float]:
    """Return the seconds of prefixes that grow letter by letter."""
    found: list[float] = []
    for at in range(CLICKS):
        start = time.perf_counter()
        ask(f"{address}api/prefix?id={at * 7 % number}&tokens={','.join('0' * (at + 1))}")
        found.append(time.perf_counter() - start)
    return found


def ask(address: str) -> int:
    """Return the status of an answer, which is read whole."""
    with OPENER.open(address, timeout=60) as response:
        response.read()
        return response.status


def visitors(address: str, number: int) -> tuple[list[float], int, list[float]]:
    """Return the seconds of every click of 20 visitors at once, how many failed, and the memory at each quarter."""
    times: list[float] = []
    failed = [0]
    end = time.monotonic() + SECONDS

    def visit(seed: int) -> None:
        generator = random.Random(seed)
        while time.monotonic() < end:
            row, other = generator.randrange(number), generator.randrange(number)
            view = generator.choice(
                [f"card?id={row}", f"ask?id={row}", f"prefix?id={row}&tokens=0,1", f"rows?rows={row}",
                 "matches?where=step%3E0", "column?name=performance", f"compare?a={row}&b={other}"]
            )  # fmt: skip
            start = time.perf_counter()
            try:
                failed[0] += ask(f"{address}api/{view}") >= 300
            except OSError:
                failed[0] += 1
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=visit, args=(seed,)) for seed in range(VISITORS)]
    for thread in threads:
        thread.start()
    memory = [resident()]
    for _ in range(4):
        time.sleep(SECONDS / 4)
        memory.append(resident())
    for thread in threads:
        thread.join()
    return times, failed[0], memory


def resident() -> float:
    """Return the memory of this process in MB."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def median(values: list[float]) -> str:
    """Return the median and the largest of some times."""
    return f"{1000 * float(np.median(values)):.0f} ms (largest {1000 * max(values):.0f})"


def main(zoo_folder: str | None = None) -> None:
    """Measure and print."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as started:
        folder = Path(temporary)
        print(f"load of the machine when it began: {Path('/proc/loadavg').read_text().split()[0]}")
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for number in (10_000, 100_000):
            collection = synthetic(number, folder / str(number))
            settle(collection)
            with served(collection) as address:
                print(f"first view of {number:,}: median {median(first_views(browser, address))}", flush=True)
                print(
                    f"click among {number:,}: median of {CLICKS} {median(clicks(browser, address, number))}", flush=True
                )
        zoo = Zoo(zoo_folder) if zoo_folder else build_zoo(ZooConfig(num_runs=60, num_steps=100), folder / "zoo")
        model = Rnn2Vec.untrained(zoo)
        index = Index.build(folder / "index", model)
        for part in embed_files(model, [zoo.folder]):
            index.add(part.names, part.vectors, part.properties)
        collection = Collection(index, zoo.folder)
        settle(collection)
        with served(collection) as address:
            print(f"click in {zoo!r}: median of {CLICKS} {median(clicks(browser, address, len(zoo)))}", flush=True)
            browser.close()
            print(f"prefix: median of {CLICKS} {median(prefixes(address, len(zoo)))}", flush=True)
            times, failed, memory = visitors(address, len(zoo))
            sizes = ", ".join(f"{one:.0f}" for one in memory)
            print(
                f"{VISITORS} visitors, {SECONDS:.0f} s: {len(times)} clicks, {failed} failed, median {median(times)}; "
                f"memory at each quarter, of server and visitors together: {sizes} MB"
            )
        print(json.dumps({"load at the end": Path("/proc/loadavg").read_text().split()[:3]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
