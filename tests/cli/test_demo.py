"""`rnn2vec demo`: what it says and the page that it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rnn2vec.cli import main
from rnn2vec.zoo.store import Zoo


@pytest.fixture(scope="module")
def packed(tiny_run: Path, tiny_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed model whose reference leaves two runs out, and beside it the zoo of these runs."""
    folder = tmp_path_factory.mktemp("demo")
    tiny_zoo.filter(folder / "sample", where=["run=1,2"])
    command = ["pack", str(tiny_run), "--zoo", str(tiny_zoo.folder), "--out", str(folder / "model")]
    assert main([*command, "--leave-out", str(folder / "sample")]) == 0
    return folder


def test_a_demo_describes_compares_and_writes_a_page(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["demo", "--model", str(packed / "model"), "--zoo", str(packed / "sample"), "--out"]
    assert main([*command, str(packed / "demo.html")]) == 0
    text = capsys.readouterr().out
    assert "4 RNNs as vectors of 16 numbers" in text
    assert "most like" in text
    assert re.search(r"two of them: A does a\^n .*, B does a\^n ", text)
    page = (packed / "demo.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert "2 tasks" in page
    assert page.count("<img ") == page.count('alt="') == 1
    assert main([*command, str(packed / "again.html"), "--json"]) == 0
    neighbours = json.loads(capsys.readouterr().out)["card"]["neighbours"]
    assert all(one["properties"]["run"] not in {1, 2} for one in neighbours)  # none of them is the sample's own


def test_a_model_without_rnns_to_compare_with_is_refused(
    tiny_run: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--model", str(tiny_run), "--zoo", str(packed / "sample")]) == 2
    assert "rnn2vec pack" in capsys.readouterr().err
