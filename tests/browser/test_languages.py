"""The page over a zoo of languages, clicked through: every feature, no error, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import safetensors.torch
from tests.browser.conftest import DESKTOP, PHONE, Visit

from rnn2vec.explorer.collection import Collection
from rnn2vec.zoo.store import Zoo

MakeVisit = Callable[..., Visit]


def _click_rnn(page: Any, collection: Collection, row: int) -> None:
    """Click where the map shows an RNN; the page computes the place as it draws."""
    page.locator("#canvas").wait_for()
    x, y = collection.layout("pca").coordinates.T
    box = page.locator("#canvas").bounding_box()
    margin = min(48, box["width"] / 10)
    scale = min((box["width"] - 2 * margin) / (x.max() - x.min()), (box["height"] - 2 * margin) / (y.max() - y.min()))
    across = box["width"] / 2 + float(x[row] - (x.max() + x.min()) / 2) * scale
    down = box["height"] / 2 - float(y[row] - (y.max() + y.min()) / 2) * scale
    page.locator("#canvas").click(position={"x": float(across), "y": float(down)})


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_click_shows_a_card_and_its_links_lead_on(
    visit: MakeVisit, address: str, languages: Collection, size: tuple[int, int]
) -> None:
    seen = visit(size)
    seen.open(address)
    page = seen.page
    assert "24 RNNs" in seen.text("#about")
    assert page.locator("#canvas").get_attribute("data-drawn") == "24"
    _click_rnn(page, languages, 23)
    page.wait_for_selector(".card h2")
    chosen = re.search(r"id=(\d+)", page.url)
    assert chosen is not None
    expected = languages.index.neighbour(int(chosen[1])).properties
    shown = page.locator(".card tbody tr:has-text('performance') td").first.inner_text()
    assert float(shown) == pytest.approx(expected["performance"], abs=1e-3)
    page.wait_for_selector("text=too few RNNs to learn from")
    page.locator(".neighbours .link").first.click()
    seen.until(f"!location.hash.includes('id={chosen[1]}')")
    page.locator(".steps button").first.click()
    page.wait_for_selector(".steps button[aria-pressed='true'] >> text=0")


def test_links_restore_the_view(visit: MakeVisit, address: str) -> None:
    seen = visit()
    seen.open(f"{address}#colour=split&filter=step+%3D+60&step=60&runs=1&id=5&tab=ask")
    page = seen.page
    assert page.locator("#colour").input_value() == "split"
    assert page.locator("#filter").input_value() == "step = 60"
    assert seen.text("#step-value") == "60"
    assert page.locator("#runs").is_checked()
    assert "validation" in seen.text("#legend")
    assert page.locator("#tab-ask").get_attribute("aria-selected") == "true"
    page.wait_for_selector(".ask .sequence")
    before = page.url
    other = visit()
    other.open(before)
    assert other.text("#legend") == seen.text("#legend")
    assert other.text(".ask h2") == seen.text(".ask h2")


def test_filters_and_the_lasso_select(visit: MakeVisit, address: str, tmp_path: Path, languages: Collection) -> None:
    seen = visit()
    seen.open(address)
    page = seen.page
    seen.is_refused = True
    page.fill("#filter", "performans > 1")
    page.press("#filter", "Enter")
    page.wait_for_selector("text=did you mean 'performance'")
    page.fill("#filter", "step = 60; split = train")
    page.press("#filter", "Enter")
    seen.until("location.hash.includes('filter')")
    page.locator("#export summary").click()
    expected = languages.index.where("step = 60", "split = train")
    page.wait_for_selector(f"text={expected.sum()} RNNs selected")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Parquet").click()
    waiting.value.save_as(tmp_path / "chosen.parquet")
    table = pq.read_table(tmp_path / "chosen.parquet", use_threads=False)
    assert set(table.column("step").to_pylist()) == {60}
    assert table.num_rows == expected.sum()

    page.fill("#filter", "")
    page.press("#filter", "Enter")
    page.locator("#lasso").click()
    box = page.locator("#canvas").bounding_box()
    corners = [(0.01, 0.1), (0.99, 0.1), (0.99, 0.99), (0.01, 0.99)]
    page.mouse.move(box["x"] + corners[0][0] * box["width"], box["y"] + corners[0][1] * box["height"])
    page.mouse.down()
    for across, down in corners[1:]:
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"], steps=3)
    page.mouse.up()
    page.locator("#export summary").click()
    page.wait_for_selector("text=24 RNNs selected")
    for name, begins in (("PNG", b"\x89PNG"), ("SVG", b"<svg "), ("CSV", b'"rnn"')):
        if not page.locator("#export").evaluate("one => one.open"):
            page.locator("#export summary").click()
        with page.expect_download() as waiting:
            page.get_by_role("button", name=name).click()
        waiting.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_tsne_replaces_pca(visit: MakeVisit, address: str) -> None:
    seen = visit()
    seen.open(address)
    assert "PCA" in seen.text("#note")
    seen.page.select_option("#layout", "tsne")
    seen.page.wait_for_selector("#note:has-text('neighbours stay together')", timeout=60_000)
    assert "layout=tsne" in seen.page.url


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_dialogue_goes_step_by_step_and_letters_are_typed(
    visit: MakeVisit, address: str, size: tuple[int, int]
) -> None:
    seen = visit(size)
    seen.open(f"{address}#id=7&tab=ask")
    page = seen.page
    page.wait_for_selector(".belief h3")
    full = seen.text(".belief")
    page.locator(".player input").evaluate("one => { one.value = 1; one.dispatchEvent(new Event('input')); }")
    assert seen.text(".player output").startswith("1 of ")
    assert page.locator(".row.answered").first.locator(".cell:not(:empty)").count() == 1
    assert seen.text(".belief")[:10] == full[:10]
    page.get_by_role("button", name="Play").click()
    seen.until("document.querySelector('.player output').textContent.startsWith('3 of')")
    page.get_by_role("button", name="Pause").click()
    page.locator(".prefix").focus()
    page.keyboard.type("aab")
    seen.until("document.querySelector('.typed').textContent === '^aab'")
    page.keyboard.press("Backspace")
    page.get_by_role("button", name="c", exact=True).click()
    seen.until("document.querySelector('.typed').textContent === '^aac'")
    assert page.locator(".next .bars li").count() == 6


def test_two_rnns_are_compared(visit: MakeVisit, address: str) -> None:
    seen = visit()
    seen.open(f"{address}#id=7&tab=card")
    page = seen.page
    page.get_by_role("button", name="Compare it with …").click()
    page.wait_for_selector("text=Click an RNN on the map")
    page.locator("#show-table").click()
    page.locator("#table tbody .link").nth(1).click()
    page.wait_for_selector(".verdict-line")
    assert "distance of weights" in seen.text(".compare")
    assert "Where in training they part" in seen.text(".compare")
    page.get_by_role("button", name="Find the shortest input").click()
    page.wait_for_selector("text=/disagree:|None was found/", timeout=30_000)


def test_the_table_has_the_same_content(visit: MakeVisit, address: str, languages: Collection) -> None:
    seen = visit()
    seen.open(f"{address}#filter=step+%3D+60")
    page = seen.page
    page.locator("#show-table").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#table tbody tr")
    assert page.locator("#table tbody tr").count() == 12
    page.locator("#table tbody .link").nth(2).press("Enter")
    page.wait_for_selector(".card h2")
    assert page.locator("#table tr.selected").count() == 1
    assert len(languages) == 24


def test_a_dropped_checkpoint_is_placed_and_a_bad_one_explained(
    visit: MakeVisit, address: str, tiny_zoo: Zoo, tmp_path: Path
) -> None:
    seen = visit()
    seen.open(address)
    page = seen.page
    good, bad = tmp_path / "<b>mine.safetensors", tmp_path / "torn.pt"
    safetensors.torch.save_file(tiny_zoo.rnns([5]).to_modules()[0].state_dict(), good)
    bad.write_bytes(b"PK\x03\x04")
    page.set_input_files("#file", good)
    page.wait_for_selector(".card .quiet:has-text('<b>mine.safetensors')")
    assert page.locator(".card b").count() == 0
    assert page.locator(".verdict.identical").count() == 1
    page.locator("#tab-ask").click()
    page.wait_for_selector(".ask .sequence")
    seen.is_refused = True
    page.set_input_files("#file", bad)
    page.wait_for_selector("#message:has-text('torn.pt')")
