"""The static copy opens from the file system, and shows what the live page shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.browser.conftest import Visit

from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.export import export


@pytest.fixture(scope="module")
def exported(languages: Collection, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The link to a copy with four RNNs."""
    page: Path = export(languages, tmp_path_factory.mktemp("exported") / "copy", num_rnns=4)
    return page.as_uri()


def test_it_opens_without_a_server(visit: Callable[..., Visit], exported: str) -> None:
    seen = visit()
    seen.open(f"{exported}#id=23&colour=split")
    page = seen.page
    assert page.locator("#canvas").get_attribute("data-drawn") == "24"
    page.wait_for_selector(".card h2")
    page.wait_for_selector("text=too few RNNs to learn from")
    page.locator("#tab-ask").click()
    page.wait_for_selector(".ask .sequence")
    page.select_option("#layout", "tsne")
    page.wait_for_selector("#note:has-text('neighbours stay together')")
    page.locator("#show-table").click()
    page.wait_for_selector("#table td")


def test_it_says_what_it_does_not_hold(visit: Callable[..., Visit], exported: str) -> None:
    seen = visit()
    seen.open(f"{exported}#id=2")
    seen.page.wait_for_selector("text=This static copy does not hold that answer")
    assert not seen.page.locator("#add").is_visible()
    assert seen.page.locator("#filter").is_disabled()
