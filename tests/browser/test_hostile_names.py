"""Names and properties from files are text everywhere on the page, whatever they look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tests.browser.conftest import Visit, served

from rnn2vec.explorer.collection import Collection
from rnn2vec.index.index import Index

MARKUP = '<img src=x onerror="document.title=1"><script>document.title=1</script>'


@pytest.fixture(scope="module")
def hostile_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The link to an index whose names, properties and values are markup."""
    folder = tmp_path_factory.mktemp("hostile") / "index"
    index = Index.build(folder, 4)
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    texts = [f"{MARKUP}{at % 3}" for at in range(30)]
    properties = {"task": texts, MARKUP: texts, "run": [at // 3 for at in range(30)], "step": list(range(3)) * 10}
    index.add([f"{at}/{MARKUP}{at}" for at in range(30)], vectors, properties)
    with served(Collection(index, folder)) as link_to:
        yield link_to


@pytest.mark.parametrize(
    "view", ["", "id=3", "id=3&table=1", "colour=task&id=3", "tab=ask&id=3", "tab=compare&a=1&b=2"]
)
def test_markup_stays_text(visit: Callable[..., Visit], hostile_address: str, view: str) -> None:
    seen = visit()
    seen.open(f"{hostile_address}#{view}")
    seen.page.wait_for_timeout(300)
    assert seen.page.locator("img, body script").count() == 0
    assert seen.page.title().endswith("rnn2vec explorer")
    if "table" in view:
        assert MARKUP in seen.text("#table")
    if view.startswith("colour"):
        assert MARKUP in seen.text("#legend")
