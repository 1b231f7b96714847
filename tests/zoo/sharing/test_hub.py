"""Pushing and pulling zoos, with the real client against a stand-in for the hub on this machine (`stub_hub.py`)."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.stub_hub import StubHub, serving

from rnn2vec._errors import BusyError, DataError, UsageError
from rnn2vec._files import write_sealed
from rnn2vec._hub import HubError
from rnn2vec._lock import claim
from rnn2vec.zoo.manifest import MANIFEST
from rnn2vec.zoo.sharing.dataset_card import dataset_card
from rnn2vec.zoo.sharing.hub import pull, push
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify

REPOSITORY = "ann/zoo-of-five"
Digests = Callable[[Path], dict[str, str]]


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token and no cache of the person who runs the tests."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))


@pytest.fixture
def hub() -> Iterator[StubHub]:
    with serving() as stub:
        yield stub


@pytest.fixture
def pushed(hub: StubHub, zoo: Zoo) -> StubHub:
    """A hub that has the zoo."""
    push(zoo, REPOSITORY, endpoint=hub.endpoint)
    hub.requests.clear()
    return hub


# -- the card --------------------------------------------------------------------------------------


def test_the_card_has_front_matter_that_the_hub_reads_and_a_body_for_people(zoo: Zoo) -> None:
    text = dataset_card(zoo, name='five: "runs"', license="cc-by-4.0")
    _, front, body = text.split("---\n", maxsplit=2)
    assert yaml.safe_load(front) == {
        "pretty_name": 'five: "runs"',
        "license": "cc-by-4.0",
        "size_categories": ["n<1K"],
        "tags": ["rnn2vec", "model-zoo", "weight-space-learning", "recurrent-neural-networks"],
        "configs": [{"config_name": "properties", "data_files": "shards/*.parquet"}],
    }
    assert '# five: "runs"' in body
    assert "15 LSTMs, snapshots of\n5 training runs" in body
    assert "| architecture | lstm 2x8, 6 inputs, 6 outputs: 1,142 parameters |" in body
    assert "zoo.rnns(zoo.where(step=120))" in body
    config = json.loads(body.split("```json\n")[1].split("```")[0])["config"]
    assert config == zoo.manifest.config.to_dict()
    assert "license" not in dataset_card(zoo).split("---\n")[1]


# -- there and back --------------------------------------------------------------------------------


def test_what_is_pushed_is_pulled_to_the_byte(hub: StubHub, zoo: Zoo, tmp_path: Path, digests: Digests) -> None:
    url = push(zoo, REPOSITORY, license="mit", private=True, endpoint=hub.endpoint)
    assert url == f"{hub.endpoint}/datasets/{REPOSITORY}/commit/{hub.commit(REPOSITORY)}"
    assert hub.private == {REPOSITORY}
    files = hub.files[REPOSITORY]
    assert b'license: "mit"' in files["README.md"]
    assert set(files) == {"README.md", *digests(zoo.folder)}
    assert sum("/commit/main" in path for _, path in hub.requests) == 1, "one commit: whole or not there"

    told: list[tuple[float, float, str]] = []
    pulled = pull(REPOSITORY, tmp_path / "zoo", endpoint=hub.endpoint, progress=lambda *report: told.append(report))
    assert digests(tmp_path / "zoo") == digests(zoo.folder)
    assert sorted(path.name for path in (tmp_path / "zoo").iterdir()) == ["shards", "zoo.json"]
    assert verify(pulled) == []
    assert told[0] == (0, 6, "shards/00000.safetensors")
    assert told[-1] == (1, 1, "done")


def test_a_zoo_made_of_zoos_travels_too(hub: StubHub, zoo: Zoo, tmp_path: Path, digests: Digests) -> None:
    made = zoo.filter(tmp_path / "made", where=["step=120"])
    push(made, REPOSITORY, endpoint=hub.endpoint)
    pulled = pull(REPOSITORY, tmp_path / "zoo", endpoint=hub.endpoint)
    assert pulled.manifest == made.manifest
    assert digests(pulled.folder) == digests(made.folder)


def test_an_interrupted_pull_is_no_zoo_and_goes_on(pushed: StubHub, tmp_path: Path, digests: Digests, zoo: Zoo) -> None:
    out = tmp_path / "zoo"

    def stop(done: float, total: float, what: str) -> None:
        if done == 3:
            raise KeyboardInterrupt(f"{what} of {total}")

    with pytest.raises(KeyboardInterrupt):
        pull(REPOSITORY, out, endpoint=pushed.endpoint, progress=stop)
    with pytest.raises(UsageError, match="is not a zoo"):
        Zoo.open(out)
    first = [name for name in pushed.downloads() if name != MANIFEST]
    assert len(first) == 3
    pushed.requests.clear()
    pull(REPOSITORY, out, endpoint=pushed.endpoint)
    again = [name for name in pushed.downloads() if name != MANIFEST]
    assert len(again) == 3
    assert not set(first) & set(again)
    assert digests(out) == digests(zoo.folder)


@pytest.mark.parametrize("name", ["shards/00001.safetensors", "shards/00002.parquet"])
def test_a_file_without_its_checksum_is_named_and_the_folder_is_no_zoo(
    pushed: StubHub, tmp_path: Path, name: str, digests: Digests, zoo: Zoo
) -> None:
    right = pushed.files[REPOSITORY][name]
    pushed.files[REPOSITORY][name] = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(DataError, match=rf"{name} of {REPOSITORY} does not have the checksum in its zoo\.json"):
        pull(REPOSITORY, tmp_path / "zoo", endpoint=pushed.endpoint)
    assert not (tmp_path / "zoo" / MANIFEST).exists()
    pushed.files[REPOSITORY][name] = right
    pull(REPOSITORY, tmp_path / "zoo", endpoint=pushed.endpoint)
    assert digests(tmp_path / "zoo") == digests(zoo.folder)


@pytest.mark.usefixtures("without_type_checks")
def test_a_manifest_that_names_files_elsewhere_is_refused(pushed: StubHub, tmp_path: Path) -> None:
    manifest = json.loads(pushed.files[REPOSITORY][MANIFEST])
    manifest.pop("checksum")
    for wrong in ({"number": "../../x"}, {"number": -1}, {"num_rnns": 1.5}, {"checksums": None}):
        shards = [{**manifest["shards"][0], **wrong}, *manifest["shards"][1:]]
        write_sealed(tmp_path / MANIFEST, {**manifest, "shards": shards})
        pushed.files[REPOSITORY][MANIFEST] = (tmp_path / MANIFEST).read_bytes()
        with pytest.raises(DataError, match=r"does not have the entries of a zoo's manifest: shard"):
            pull(REPOSITORY, tmp_path / "zoo", endpoint=pushed.endpoint)
    assert not (tmp_path / "zoo" / MANIFEST).exists()


# -- what is refused -------------------------------------------------------------------------------


def test_only_whole_zoos_are_pushed(hub: StubHub, copy: Path) -> None:
    manifest = Zoo.open(copy).manifest
    (copy / "shards/00002.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match=r"00002\.parquet is truncated or altered(.|\n)*rnn2vec zoo verify` shows how"):
        push(Zoo.open(copy), REPOSITORY, endpoint=hub.endpoint)
    dataclasses.replace(manifest, shards=manifest.shards[:2]).write(copy)
    with pytest.raises(DataError, match=r"is not finished: it has 2 of 3 shards\n.*rerun `rnn2vec zoo build`"):
        push(Zoo.open(copy), REPOSITORY, endpoint=hub.endpoint)
    assert hub.requests == []


def test_an_unfinished_zoo_on_the_hub_is_refused(pushed: StubHub, tmp_path: Path) -> None:
    manifest = json.loads(pushed.files[REPOSITORY][MANIFEST])
    manifest.pop("checksum")
    write_sealed(tmp_path / MANIFEST, {**manifest, "shards": manifest["shards"][:2]})
    pushed.files[REPOSITORY][MANIFEST] = (tmp_path / MANIFEST).read_bytes()
    with pytest.raises(DataError, match=rf"{REPOSITORY} lists 2 of 3 shards"):
        pull(REPOSITORY, tmp_path / "zoo", endpoint=pushed.endpoint)


def test_folders_that_are_taken_are_not_touched(pushed: StubHub, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is already a zoo; it was not changed\n.*choose another folder"):
        pull(REPOSITORY, copy, endpoint=pushed.endpoint)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("mine")
    with pytest.raises(UsageError, match="exists and is not a zoo"):
        pull(REPOSITORY, tmp_path / "thesis", endpoint=pushed.endpoint)
    (tmp_path / "busy").mkdir()
    with claim(tmp_path / "busy", marker=MANIFEST, kind="zoo"), pytest.raises(BusyError):
        pull(REPOSITORY, tmp_path / "busy", endpoint=pushed.endpoint)


def test_what_the_hub_says_is_passed_on(pushed: StubHub, zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"the hub refused ann/other(.|\n)*-> check the name; .* need `hf auth login`"):
        pull("ann/other", tmp_path / "zoo", endpoint=pushed.endpoint)
    with pytest.raises(UsageError, match=r"'a b/c' is not a repository name\n.*give USER/NAME"):
        push(zoo, "a b/c", endpoint=pushed.endpoint)
    del pushed.files[REPOSITORY]["shards/00001.parquet"]
    with pytest.raises(DataError, match=rf"{REPOSITORY} is not a zoo, or incomplete"):
        pull(REPOSITORY, tmp_path / "zoo", endpoint=pushed.endpoint)


def test_a_hub_that_is_not_there_says_so(zoo: Zoo, tmp_path: Path) -> None:
    with serving() as gone:
        endpoint = gone.endpoint
    for ask in (
        lambda: pull(REPOSITORY, tmp_path / "zoo", endpoint=endpoint),
        lambda: push(zoo, REPOSITORY, endpoint=endpoint),
    ):
        with pytest.raises(HubError, match=r"the hub cannot be reached: .*\n.*rerun the command"):
            ask()


def test_without_the_extra_it_says_what_to_install(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"huggingface_hub is not installed\n.*pip install 'rnn2vec\[hub\]'"):
        push(zoo, REPOSITORY)


# -- the command line ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_verbs_push_and_pull(hub: StubHub, zoo: Zoo, tmp_path: Path, digests: Digests) -> None:
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rnn2vec", "zoo", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    pushing = run("push", str(zoo.folder), REPOSITORY, "--license", "mit", "--json")
    assert pushing.returncode == 0, pushing.stderr
    assert json.loads(pushing.stdout)["commit"].startswith(hub.endpoint)
    pulling = run("pull", REPOSITORY, "--out", str(tmp_path / "zoo"))
    assert pulling.returncode == 0, pulling.stderr
    assert pulling.stdout.startswith(f"{tmp_path}/zoo: 15 RNNs")
    assert digests(tmp_path / "zoo") == digests(zoo.folder)
