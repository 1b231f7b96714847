"""The page over RNNs that read digits, without a trained model: a digit chosen, drawn and rotated; a series pasted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.browser.conftest import PHONE, Visit, collection_of, served

from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.zoo.store import Zoo


@pytest.fixture(scope="module")
def digits_address(tiny_mnist_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The link to 8 snapshots."""
    folder = tmp_path_factory.mktemp("browser") / "index"
    with served(collection_of(tiny_mnist_zoo, Rnn2Vec.untrained(tiny_mnist_zoo), folder)) as link_to:
        yield link_to


def test_a_digit_is_chosen_rotated_and_drawn(visit: Callable[..., Visit], digits_address: str) -> None:
    seen = visit()
    seen.open(f"{digits_address}#id=3&tab=ask")
    page = seen.page
    assert "random-probing" not in seen.text("#panel h2")
    page.wait_for_selector("text=Nothing is learned")
    page.locator(".digit .key").first.click()
    page.wait_for_selector(".digit .heatmap")
    before = page.locator(".digit .heat").first.get_attribute("fill-opacity")
    assert before is not None
    page.locator(".digit input[type=range]").evaluate(
        "one => { one.value = 90; for (const name of ['input', 'change']) one.dispatchEvent(new Event(name)); }"
    )
    assert seen.text(".digit output") == "90°"
    page.get_by_role("button", name="Clear").click()
    box = page.locator(".pad").first.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 130, steps=5)
    page.mouse.up()
    page.wait_for_selector(".digit .bars li")
    assert page.locator(".digit .bars li").count() == 10


@pytest.mark.parametrize("view", ["id=3", "id=3&tab=ask", "tab=compare&a=1&b=3"])
def test_nothing_is_cut_off_on_a_phone(visit: Callable[..., Visit], digits_address: str, view: str) -> None:
    seen = visit(PHONE)
    seen.open(f"{digits_address}#{view}")
    seen.page.wait_for_selector("#panel h2")
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_series_is_pasted(visit: Callable[..., Visit], digits_address: str) -> None:
    seen = visit()
    seen.open(f"{digits_address}#id=3&tab=ask")
    page = seen.page
    page.fill(".series textarea", "1 2 3")
    page.locator(".series").get_by_role("button", name="Ask").click()
    page.wait_for_selector("text=Step 1 is not 49 numbers")
    page.fill(".series textarea", "\n".join([" ".join(["0.5"] * 49)] * 6))
    page.locator(".series").get_by_role("button", name="Ask").click()
    page.wait_for_selector(".series .heatmap")


def test_images_are_compared(visit: Callable[..., Visit], digits_address: str) -> None:
    seen = visit(scheme="dark")
    seen.open(f"{digits_address}#tab=compare&a=1&b=3")
    seen.page.wait_for_selector("text=an image at the first RNN's angle")
    assert seen.page.locator(".compare .heatmap").count() == 2
