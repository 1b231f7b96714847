"""A real server on loopback, and Chromium as an operating system installs it; without it these tests are skipped."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from rnn2vec.embedding.many_files import embed_files
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.server import admission_for, application, link
from rnn2vec.index.index import Index
from rnn2vec.zoo.store import Zoo

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")

DESKTOP, PHONE = (1440, 900), (390, 844)


@dataclass
class Visit:
    """A page with everything that went wrong on it."""

    page: Any
    errors: list[str] = field(default_factory=list[str])
    strange: list[str] = field(default_factory=list[str])
    """Requests to other machines."""
    is_refused: bool = False
    """True where the test makes the server refuse something, which the browser reports as an error by itself."""

    def note(self, message: Any) -> None:
        """Note an error of the console."""
        if message.type == "error" and not (self.is_refused and "responded with a status of 4" in message.text):
            self.errors.append(message.text)

    def open(self, address: str) -> None:
        """Open a link and wait for the first view."""
        self.page.goto("about:blank")
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready]", timeout=30_000)

    def until(self, expression: str) -> None:
        """Wait until an expression is true; the page's policy forbids playwright's own way, which needs `eval`."""
        for _ in range(300):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{expression} is not true after 15 s")

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.page.locator(selector).inner_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, started once for the tests of a file."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium (Debian's package chromium has it)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Open a window of a size; at the end of the test nothing may have gone wrong in it."""
    visits: list[Visit] = []
    contexts: list[Any] = []

    def make(size: tuple[int, int] = DESKTOP, scheme: str = "light") -> Visit:
        width, height = size
        viewport = {"width": width, "height": height}
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, has_touch=size == PHONE, accept_downloads=True
        )
        made = Visit(context.new_page())
        made.page.set_default_timeout(15_000)
        made.page.on("console", made.note)
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        made.page.on("request", lambda request: _is_strange(request.url) and made.strange.append(request.url))
        visits.append(made)
        contexts.append(context)
        return made

    yield make
    for one in contexts:
        one.close()
    assert [one.errors for one in visits] == [[]] * len(visits)
    assert [one.strange for one in visits] == [[]] * len(visits)


def _is_strange(address: str) -> bool:
    return not address.startswith(("http://127.0.0.1:", "file:", "data:", "blob:", "about:"))


@contextlib.contextmanager
def served(collection: Collection) -> Generator[str]:
    """Serve a collection on any free port; the link to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        admission = admission_for("127.0.0.1", port)
        app: Any = application(collection, admission)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield link("127.0.0.1", port, admission)
        server.should_exit = True
        thread.join()


def collection_of(zoo: Zoo, model: Rnn2Vec, folder: Path) -> Collection:
    """Embed a zoo, as `rnn2vec explore` does."""
    index = Index.build(folder, model)
    for part in embed_files(model, [zoo.folder]):
        index.add(part.names, part.vectors, part.properties)
    return Collection(index, zoo.folder)


@pytest.fixture(scope="module")
def languages(tiny_zoo: Zoo, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """24 snapshots of languages, with a trained probing encoder."""
    return collection_of(tiny_zoo, Rnn2Vec(tiny_run), tmp_path_factory.mktemp("browser") / "index")


@pytest.fixture(scope="module")
def address(languages: Collection) -> Iterator[str]:
    """The link to the languages."""
    with served(languages) as link_to:
        yield link_to
