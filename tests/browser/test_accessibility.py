"""Nothing serious is found by axe, in light and dark, on a desktop and on a phone, in every part of the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.browser.conftest import DESKTOP, PHONE, Visit

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

VIEWS = {
    "": "#panel h2",
    "id=5": ".card h2",
    "id=5&tab=ask": ".ask .typed .cell",
    "tab=compare&a=5&b=9": ".verdict-line",
    "table=1": "#table td",
}


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_axe_finds_nothing_serious(
    visit: Callable[..., Visit], address: str, size: tuple[int, int], scheme: str
) -> None:
    seen = visit(size, scheme)
    found: dict[str, list[str]] = {}
    for view, selector in VIEWS.items():
        seen.open(f"{address}#{view}")
        seen.page.wait_for_selector(selector)
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view  # nothing is cut off
        result = axe.Axe().run(seen.page).response
        found[view] = [
            f"{one['id']}: {node['html'][:100]}"
            for one in result["violations"]
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]
    assert found == {view: [] for view in VIEWS}
