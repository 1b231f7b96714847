"""Packed models on a hub, with the real client against a stand-in on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.seals import rewrite
from tests.stub_hub import StubHub, serving

from rnn2vec._errors import DataError, UsageError
from rnn2vec._hub import HubError, hub_api
from rnn2vec.cli import main
from rnn2vec.embedding.hub import CARD, pull_model, push_model
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.index.packing import ModelCard, pack
from rnn2vec.zoo.store import Zoo

REPOSITORY = "ann/tiny"


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the tokens and caches of the user who runs the tests."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubHub]:
    with serving() as stub:
        monkeypatch.setattr("rnn2vec.embedding.hub.hub_api", lambda _: hub_api(stub.endpoint))
        yield stub


@pytest.fixture(scope="module")
def packed(tiny_run: Path, tiny_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, packed."""
    folder = tmp_path_factory.mktemp("packed") / "tiny"
    pack(tiny_run, tiny_zoo, folder, most_rnns=8, limits=("A toy.",))
    return folder


@pytest.fixture
def pushed(hub: StubHub, packed: Path) -> StubHub:
    """A hub that has the model."""
    push_model(packed, REPOSITORY, endpoint=hub.endpoint)
    hub.requests.clear()
    return hub


def _files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_what_is_pushed_is_pulled_to_the_byte(hub: StubHub, packed: Path, tmp_path: Path) -> None:
    url = push_model(packed, REPOSITORY, license="mit", private=True, endpoint=hub.endpoint)
    assert hub.commit(REPOSITORY) in url
    assert hub.private == {REPOSITORY}
    readme = hub.files[REPOSITORY]["README.md"].decode()
    assert 'license: "mit"' in readme
    assert "| validation | " in readme
    assert "A toy." in readme
    assert pull_model(REPOSITORY, tmp_path / "model", endpoint=hub.endpoint) == tmp_path / "model"
    assert _files(tmp_path / "model") == _files(packed)


def test_a_repository_is_a_name_of_a_model(pushed: StubHub, packed: Path, tiny_zoo: Zoo) -> None:
    expected = Rnn2Vec(packed).embed(tiny_zoo)
    np.testing.assert_array_equal(Rnn2Vec.from_pretrained(REPOSITORY).embed(tiny_zoo), expected)
    commit = pushed.commit(REPOSITORY)
    pushed.requests.clear()
    np.testing.assert_array_equal(Rnn2Vec.from_pretrained(REPOSITORY, revision=commit).embed(tiny_zoo), expected)
    assert pushed.downloads() == []  # the commit is in the cache


def test_without_a_network_the_cache_serves(packed: Path, tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as stub:
        monkeypatch.setattr("rnn2vec.embedding.hub.hub_api", lambda _: hub_api(stub.endpoint))
        push_model(packed, REPOSITORY, endpoint=stub.endpoint)
        expected = Rnn2Vec.from_pretrained(REPOSITORY).embed(tiny_zoo)
    with serving() as gone:
        monkeypatch.setattr("rnn2vec.embedding.hub.hub_api", lambda _: hub_api(gone.endpoint))
    with pytest.warns(UserWarning, match=f"cannot be reached.*{REPOSITORY} is taken from the cache"):
        np.testing.assert_array_equal(Rnn2Vec.from_pretrained(REPOSITORY).embed(tiny_zoo), expected)
    with pytest.raises(HubError, match="cannot be reached"):
        Rnn2Vec.from_pretrained("ann/other")


@pytest.mark.parametrize("name", ["model/model.safetensors", "parts/00000.parquet", "index.json"])
def test_a_changed_file_is_named_and_nothing_is_left(pushed: StubHub, tmp_path: Path, name: str) -> None:
    right = pushed.files[REPOSITORY][name]
    pushed.files[REPOSITORY][name] = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(DataError, match=f"{Path(name).name} of {REPOSITORY} does not have the checksum"):
        pull_model(REPOSITORY, tmp_path / "model", endpoint=pushed.endpoint)
    assert _files(tmp_path / "model").keys().isdisjoint({CARD, name})
    pushed.files[REPOSITORY][name] = right
    pull_model(REPOSITORY, tmp_path / "model", endpoint=pushed.endpoint)


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "model/../../x", "parts/x.pkl"])
def test_a_card_that_names_other_files_is_refused(pushed: StubHub, packed: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / CARD).write_bytes((packed / CARD).read_bytes())
    rewrite(tmp_path / CARD, lambda card: card["files"].update({name: "0" * 64}))
    pushed.files[REPOSITORY][CARD] = (tmp_path / CARD).read_bytes()
    with pytest.raises(DataError, match="does not list the files of a packed model"):
        pull_model(REPOSITORY, tmp_path / "model", endpoint=pushed.endpoint)


def test_what_cannot_be_pushed_or_pulled_is_refused(
    hub: StubHub, packed: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"has no card\.json\n.*rnn2vec pack"):
        push_model(tiny_run, REPOSITORY, endpoint=hub.endpoint)
    with pytest.raises(HubError, match="refused ann/other"):
        pull_model("ann/other", tmp_path / "model", endpoint=hub.endpoint)
    with pytest.raises(UsageError, match="already a model"):
        pull_model(REPOSITORY, packed, endpoint=hub.endpoint)
    with pytest.raises(UsageError, match="revision='main'"):
        Rnn2Vec.from_pretrained(tiny_run, revision="main")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="unknown model or folder 'runs/x'"):  # a local name, never asked of the hub
        Rnn2Vec.from_pretrained("runs/x")
    assert hub.requests == [] or all("runs" not in path for _, path in hub.requests)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"pip install 'rnn2vec\[hub\]'"):
        push_model(packed, REPOSITORY)


def test_the_verbs_push_and_pull(
    hub: StubHub, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(packed), REPOSITORY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["commit"].startswith(hub.endpoint)
    assert main(["pull", REPOSITORY, "--out", str(tmp_path / "model")]) == 0
    assert "interactive-probing: RNNs of formal-languages" in capsys.readouterr().out
    assert ModelCard.read(tmp_path / "model") == ModelCard.read(packed)
