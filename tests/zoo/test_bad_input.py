"""Damaged zoos and wrong calls: a message that names the problem and the remedy, an exit code, and no data loss."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import write_sealed
from rnn2vec.cli import main
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo

Run = Callable[..., tuple[int, str]]
Digests = Callable[[Path], dict[str, str]]

# The options that build the zoo of `conftest.config`.
BUILD = [
    "--preset", "tiny", "--runs", "5", "--steps", "120", "--hidden-size", "8", "--rollouts", "20", "--episodes", "20",
    "--runs-per-shard", "2",
]  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("zoo", "info", folder)`: exit code and stderr of a command line that must not say anything on stdout."""

    def do(*arguments: str | Path) -> tuple[int, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as leaving:  # tyro's own refusals
            code = int(leaving.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        if code:
            assert captured.out == ""
        return code, captured.err

    return do


def _build(out: Path, *more: str) -> Sequence[str]:
    return ["zoo", "build", "formal-languages", "--out", str(out), *BUILD, *more]


def _everything(folder: Path) -> dict[str, str | None]:
    """All that is in a folder, with checksums."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        for path in folder.rglob("*")
    }


# -- folders that are no zoos ----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["info", "verify"])
@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_folder_that_is_no_zoo(tmp_path: Path, run: Run, verb: str, kind: str) -> None:
    folder = tmp_path / "fl"
    if kind == "empty":
        folder.mkdir()
    elif kind == "file":
        folder.write_text("a file")
    code, said = run("zoo", verb, folder)
    assert code == 2
    assert f"{folder} is not a zoo: it {'has no zoo.json' if kind == 'empty' else ''}" in said
    assert "-> give a folder that `rnn2vec zoo build --out` made." in said


# -- manifests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["info", "verify", "build"])
def test_a_zoo_of_a_newer_format(copy: Path, run: Run, verb: str) -> None:
    manifest = json.loads((copy / "zoo.json").read_text())
    write_sealed(copy / "zoo.json", {**manifest, "format_version": 3, "specs": "in a new way"})
    before = _everything(copy)
    code, said = run(*_build(copy)) if verb == "build" else run("zoo", verb, copy)
    assert code == 1
    assert f"{copy} has format version 3; this rnn2vec reads up to 2" in said
    assert "-> upgrade it: pip install --upgrade rnn2vec." in said
    assert _everything(copy) == before


@pytest.mark.parametrize("content", ['{"format_version": 1,', "", "\x00\x01"])
@pytest.mark.parametrize("verb", ["info", "build"])
def test_a_manifest_that_is_no_json(copy: Path, run: Run, content: str, verb: str) -> None:
    (copy / "zoo.json").write_text(content)
    before = _everything(copy)
    code, said = run(*_build(copy)) if verb == "build" else run("zoo", verb, copy)
    assert code == 1
    assert f"{copy}/zoo.json is not valid JSON" in said
    assert "-> restore the file" in said
    assert _everything(copy) == before


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda manifest: {key: value for key, value in manifest.items() if key != name}


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: [], "names no format version"),
        (_without("format_version"), "names no format version"),
        (lambda manifest: {**manifest, "format_version": "1"}, "names no format version"),
        *[
            (_without(name), "does not have the entries of a zoo's manifest")
            for name in ("config", "specs", "ood_rule", "provenance", "shards")
        ],
        (
            lambda manifest: {**manifest, "specs": []},
            "does not have the entries of a zoo's manifest: not enough values",
        ),
        (lambda manifest: {**manifest, "shards": [{"number": 0}]}, "does not have the entries of a zoo's manifest"),
        (lambda manifest: {**manifest, "shards": None}, "does not have the entries of a zoo's manifest"),
        (lambda manifest: {**manifest, "config": {**manifest["config"], "num_runs": 0}}, "manifest: num_runs=0"),
        (lambda manifest: {**manifest, "config": {**manifest["config"], "new": 0}}, "new is unknown"),
        (lambda manifest: {**manifest, "config": ["seed"]}, "manifest: it is"),
        (lambda manifest: {**manifest, "specs": [{**manifest["specs"][0], "cell": "lstn"}]}, "unknown cell 'lstn'"),
    ],
)
def test_a_manifest_without_its_entries(
    copy: Path, run: Run, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    manifest = json.loads((copy / "zoo.json").read_text())
    manifest.pop("checksum")
    changed = change(manifest)
    if isinstance(changed, dict):
        write_sealed(copy / "zoo.json", changed)
    else:
        (copy / "zoo.json").write_text(json.dumps(changed))
    before = _everything(copy)
    code, said = run("zoo", "info", copy)
    assert code == 1
    assert words in said
    assert f"{copy}/zoo.json" in said
    assert "-> restore the file, or " in said
    assert _everything(copy) == before


def test_a_zoo_of_a_family_that_is_not_installed(copy: Path, run: Run) -> None:
    manifest = json.loads((copy / "zoo.json").read_text())
    manifest["config"]["family"] = "palindromes"
    manifest.pop("checksum")
    write_sealed(copy / "zoo.json", manifest)
    code, said = run("zoo", "info", copy)
    assert code == 2
    assert "unknown task family 'palindromes'" in said
    assert "Known: formal-languages, tiled-mnist." in said


# -- damaged shards --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["00001.safetensors", "00001.parquet"])
@pytest.mark.parametrize("how", ["truncated", "emptied", "altered", "missing"])
def test_a_damaged_shard_is_found_at_first_read_and_by_verify_and_mended_by_build(
    copy: Path, built: Path, run: Run, digests: Digests, name: str, how: str
) -> None:
    file = copy / "shards" / name
    content = file.read_bytes()
    changed = {"truncated": content[:-1], "emptied": b"", "altered": content[:-1] + bytes([content[-1] ^ 1])}
    file.unlink() if how == "missing" else file.write_bytes(changed[how])
    words = f"{file} is missing" if how == "missing" else f"{file} is truncated or altered"

    zoo = Zoo.open(copy)
    assert len(zoo.rnns([0, 5, 14])) == 3, "other shards remain readable"
    with pytest.raises(DataError, match=rf"{words}(.|\n)*--out {copy} makes it again"):
        zoo.rollouts([0, 6])
    for verb in ("info", "verify"):
        code, said = run("zoo", verb, copy)
        assert code == 1
        assert words in said
        assert "rnn2vec zoo build" in said

    assert run(*_build(copy))[0] == 0
    assert digests(copy) == digests(built)
    assert run("zoo", "verify", copy)[0] == 0


# -- output folders --------------------------------------------------------------------------------


def test_an_output_folder_with_a_zoo_of_another_config(copy: Path, run: Run) -> None:
    before = _everything(copy)
    code, said = run(*_build(copy, "--runs", "7", "--seed", "3"))
    assert code == 2
    assert f"{copy} holds a zoo of another config: num_runs is 5, asked for 7, seed is 0, asked for 3" in said
    assert "-> give its options to finish it, or another --out for a new zoo." in said
    assert _everything(copy) == before


def test_an_output_folder_that_is_not_ours(tmp_path: Path, run: Run) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("mine")
    before = _everything(tmp_path)
    code, said = run(*_build(tmp_path / "thesis"))
    assert code == 2
    assert f"{tmp_path}/thesis exists and is not a zoo (it has no zoo.json); nothing in it was touched" in said
    assert "-> choose a new or empty folder with --out." in said
    assert _everything(tmp_path) == before


@pytest.mark.parametrize(("below", "words"), [("", "is a file, not a folder"), ("/zoo", "lies below a file")])
def test_an_output_path_that_is_a_file(tmp_path: Path, run: Run, below: str, words: str) -> None:
    (tmp_path / "fl").write_text("mine")
    code, said = run(*_build(Path(f"{tmp_path}/fl{below}")))
    assert code == 2
    assert words in said
    assert "-> choose another folder" in said
    assert (tmp_path / "fl").read_text() == "mine"


# -- wrong calls -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["zoo", "build", "formal-langages"], ["unknown task family 'formal-langages'", "mean 'formal-languages'?"]),
        (["zoo", "build", "formal-languages", "--preset", "labtop"], ["unknown preset 'labtop'", "mean 'laptop'?"]),
        (["zoo", "build", "formal-languages", "--backend", "nunba"], ["unknown backend 'nunba'", "mean 'numba'?"]),
        (["zoo", "build", "formal-languages", "--cell", "gruu"], ["--cell gruu: unknown cell 'gruu'", "'gru'", "lstm"]),
        (
            ["zoo", "build", "formal-languages", "--backend", "numba", "--hidden-size", "512"],
            ["backend 'numba' does not train lstm 2x512", "at most 3 layers of 128 units", "torch"],
        ),
        (["zoo", "build", "formal-languages", "--device", "gpu"], ["torch cannot use device 'gpu'", "-> use cpu"]),
        *[
            (["zoo", "build", "formal-languages", option, value], [words, "-> give at least 1."])
            for option, value, words in [
                ("--runs", "0", "--runs 0"),
                ("--steps", "0", "--steps 0"),
                ("--runs", "-5", "--runs -5"),
                ("--runs-per-shard", "0", "--runs-per-shard 0"),
                ("--hidden-size", "0", "--hidden-size 0"),
                ("--layers", "0", "--layers 0"),
            ]
        ],
        (["zoo", "build", "formal-languages", "--seed", "-1"], ["--seed -1", "-> give 0 or more."]),
        (
            ["zoo", "build", "formal-languages", "--rollouts", "9", "--episodes", "5"],
            ["--rollouts 9 of --episodes 5", "-> the stored rollouts are the first episodes"],
        ),
        (["zoo", "build", "formal-languages", "--runs", "many"], ["'many'", "--runs"]),
        (["zoo", "build"], ["--out"]),
        (["zoo", "bulid"], ["bulid", "build"]),
    ],
)
def test_a_wrong_call_says_what_is_wrong_and_makes_nothing(
    tmp_path: Path, run: Run, arguments: list[str], words: list[str]
) -> None:
    out = tmp_path / "zoo"
    code, said = run(*arguments, *([] if "bulid" in arguments or len(arguments) == 2 else ["--out", str(out)]))
    assert code == 2
    for word in words:
        assert word in said
    assert not out.exists()


@pytest.mark.usefixtures("without_type_checks")
def test_an_unknown_cell_suggests_the_nearest(config: ZooConfig, tmp_path: Path) -> None:
    values: dict[str, Any] = {**config.to_dict(), "cell": "lstn", "backend": "auto"}
    with pytest.raises(UsageError, match=r"unknown cell 'lstn'\n.*did you mean 'lstm'\?"):
        build_zoo(ZooConfig.from_dict(values), tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


# -- full disks ------------------------------------------------------------------------------------

_UNDER_A_SIZE_LIMIT = "import sys; from rnn2vec.cli import main; sys.exit(main(sys.argv[1:]))"


def _in_a_process(arguments: Sequence[str], *, file_size: int) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    command = [sys.executable, "-c", _UNDER_A_SIZE_LIMIT, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, preexec_fn=limit)


def test_a_file_size_limit_is_an_error_and_lifting_it_is_all_it_takes(
    built: Path, tmp_path: Path, digests: Digests
) -> None:
    """Shards of two runs are larger than the limit, the manifest is not."""
    out = tmp_path / "zoo"
    refused = _in_a_process(_build(out), file_size=30_000)
    assert refused.returncode == 1, refused.stderr
    assert f"{out}/shards/00000.safetensors could not be written" in refused.stderr
    assert "-> free some space, or choose another folder" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [path.name for path in (out / "shards").iterdir()] == []
    assert main(_build(out)) == 0
    assert digests(out) == digests(built)


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk with room for one shard and a half."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=88k", "tmpfs", disk], capture_output=True, text=True, check=False
        )
        if os.geteuid() == 0
        else None
    )
    if mounted is None or mounted.returncode:
        pytest.skip("a file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_keeps_what_is_finished_and_the_same_command_goes_on(
    small_disk: Path, built: Path, run: Run, digests: Digests
) -> None:
    out = small_disk / "zoo"
    code, said = run(*_build(out))
    assert code == 1
    assert "could not be written" in said
    assert "no space left" in said
    assert "-> free some space, or choose another folder, and rerun the command" in said
    finished = Zoo.open(out)
    assert 1 <= len(finished.manifest.shards) < 3
    assert finished.rnns(range(len(finished))).flatten().isfinite().all()
    assert not list(out.rglob(".*.tmp"))

    subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)
    assert run(*_build(out))[0] == 0
    assert digests(out) == digests(built)
