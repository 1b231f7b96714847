"""The static copy: one file that loads nothing, with recorded answers that are the server's."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rnn2vec._errors import DataError, UsageError
from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.export import bundled, export, render
from rnn2vec.explorer.server import page_files


def test_recorded_answers_are_the_servers(collection: Collection, client: TestClient, tmp_path: Path) -> None:
    page = export(collection, tmp_path / "copy", num_rnns=2).read_text()
    found = re.search(r'<script id="recording" type="application/json">(.+?)</script>', page, re.DOTALL)
    assert found is not None
    answers = json.loads(found[1])["answers"]
    for view in ("collection", "map?method=pca", "card?id=0&method=pca", "ask?id=23", "column?name=outlier+distance"):
        assert base64.b64decode(answers[f"api/{view}"]["body"]) == client.get(f"/api/{view}").content
    again = export(collection, tmp_path / "copy", num_rnns=2).read_text()
    assert again == page


def test_a_folder_with_other_things_is_left_alone(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="exported page"):
        export(collection, tmp_path, num_rnns=1)
    assert (tmp_path / "index.html").read_text() == "mine"


def test_names_cannot_leave_the_recording() -> None:
    page = render(page_files(), {"answers": {"</script><script>alert(1)</script>": {}}})
    assert "<script>alert" not in page
    assert page.count("</script>") == 2


def test_the_bundle_loads_nothing() -> None:
    script = bundled(page_files())
    assert not re.search(r"^\s*(import|export) ", script, re.MULTILINE)
    assert script.index('modules["dom.js"] =') < script.index('modules["main.js"] =')


@pytest.mark.parametrize("source", ['import "./a.js";', "export default 3;", 'import * as a from "./a.js";'])
def test_a_module_that_cannot_be_bundled_is_noticed(source: str) -> None:
    with pytest.raises(DataError, match="cannot be bundled"):
        bundled({"a.js": b"", "b.js": source.encode()})
