"""The verbs of a zoo's life after the build: each run as a user runs it, for people and for machines."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from rnn2vec._lock import claim
from rnn2vec.cli import main
from rnn2vec.zoo.store import Zoo

OTHER = [
    "--preset", "tiny", "--runs", "1", "--steps", "2", "--hidden-size", "8", "--episodes", "9", "--rollouts", "5",
    "--seed", "3", "--backend", "torch",
]  # fmt: skip

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def run(capsys: Captured) -> Any:
    """`run("filter", folder, ...)`: what a zoo verb that must succeed says on stdout."""

    def do(*arguments: str | Path) -> str:
        code = main(["zoo", *map(str, arguments)])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return do


def test_filter_subset_and_merge_make_zoos_that_verify(folder: Path, tmp_path: Path, run: Any) -> None:
    last = tmp_path / "last"
    said = run("filter", folder, "--where", "step=20", "run<2", "--rollouts", "3", "--out", last)
    assert said.startswith(f"{tmp_path}/last: 2 RNNs")
    assert "made          filtered from zoo (6 RNNs): where ['step=20', 'run<2'], num_rollouts 3" in said
    part = json.loads(run("filter", folder, "--split", "validation", "--out", tmp_path / "part", "--json"))
    assert set(part["splits"]) == {"validation"}
    assert "runs          2, 20 steps each" in run("subset", folder, "--runs", "2", "--out", tmp_path / "two")
    run("build", "formal-languages", *OTHER, "--out", tmp_path / "other")
    said = run("merge", tmp_path / "two", tmp_path / "other", "--out", tmp_path / "merged")
    assert "made          merged from two (4 RNNs) and other (2 RNNs)" in said
    for name, count in (("last", 2), ("two", 4), ("merged", 6)):
        said = run("verify", tmp_path / name, "--recompute", "all")
        assert said == f"{tmp_path / name} is intact and complete; {count} of {count} RNNs were rolled out again\n"


def test_export_and_import_are_each_others_way_back(folder: Path, tmp_path: Path, run: Any) -> None:
    said = run("export", folder, "--out", tmp_path / "release")
    assert said == (
        f"{tmp_path}/release: parameters.npy, sequences.npy, logits.npy, tasks.npy, num_step_correct.npy, args.json\n"
    )
    said = run("import", tmp_path / "release", "--hidden-size", "8", "--out", tmp_path / "back")
    assert said.startswith(f"{tmp_path}/back: 6 RNNs")
    assert (Zoo.open(tmp_path / "back").column("performance") == Zoo.open(folder).column("performance")).all()
    code = main(["zoo", "import", str(tmp_path / "release"), "--out", str(tmp_path / "wrong")])
    assert code == 1, "the default is the published size"


def test_the_card_is_printed_or_written(folder: Path, tmp_path: Path, run: Any) -> None:
    printed = run("card", folder, "--license", "mit")
    assert printed.startswith('---\npretty_name: "zoo"\nlicense: "mit"\n')
    assert run("card", folder, "--license", "mit", "--out", tmp_path / "README.md") == f"wrote {tmp_path}/README.md\n"
    assert (tmp_path / "README.md").read_text() == printed
    assert json.loads(run("card", folder, "--json"))["card"].startswith("---\n")


@pytest.mark.slow
def test_a_dry_run_says_what_it_would_take_and_makes_nothing(build: list[str], tmp_path: Path, run: Any) -> None:
    out = tmp_path / "zoos" / "fl"
    said = run(*build[1:], "--backend", "torch", "--dry-run", "--out", out)
    lines = said.splitlines()
    assert lines[0] == f"{out} would have 6 RNNs: 3 runs of 20 steps"
    assert [line.split()[0] for line in lines[1:]] == ["time", "memory", "disk", "Nothing"]
    memory, disk = float(lines[2].split()[1].replace(",", "")), float(lines[3].split()[1].replace(",", ""))
    assert 0 < disk < 1
    assert memory > 100
    assert not out.parent.exists()


def test_what_the_docs_build_on_a_gpu_is_an_error_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """All options of the commands are known, and nothing is made."""
    docs = Path(__file__).parents[2] / "docs" / "zoo.md"
    wanted = re.findall(r"^rnn2vec (zoo build .*--device) cuda( .*)$", docs.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(wanted) == 2
    monkeypatch.chdir(tmp_path)
    for before, after in wanted:
        assert main([*before.split(), "cuda:99", *after.split()]) == 2
        assert "torch cannot use device 'cuda:99' here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_one_builder_at_a_time_and_readers_beside_it(
    build: list[str], tmp_path: Path, folder: Path, run: Any, capsys: Captured
) -> None:
    out = tmp_path / "zoo"
    run("filter", folder, "--out", out)
    with claim(out, marker="zoo.json", kind="zoo"):
        assert run("info", out).startswith(f"{out}: 6 RNNs")
        for arguments in ([*build, "--out", str(out)], ["zoo", "filter", str(folder), "--out", str(out)]):
            assert main(arguments) == 1
            captured = capsys.readouterr()
            assert captured.out == ""
            assert f"{out} is being written to by another process (pid {os.getpid()} on " in captured.err
            assert "-> wait until it is done, or end it and rerun the command" in captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["filter", "{zoo}", "--where", "stepp=1"], ["unknown property 'stepp'", "did you mean 'step'?"]),
        (["filter", "{zoo}", "--where", "step=7"], ["no RNN has step = 7", "-> there are: 0, 20."]),
        (["subset", "{zoo}", "--runs", "9"], ["--runs 9 of a zoo with 3", "-> give 1 to 3."]),
        (["merge", "{zoo}"], ["1 zoo to merge", "-> give at least two."]),
        (["merge", "{zoo}", "{zoo}"], ["every RNN of {zoo} is in the zoos before it"]),
        (["import", "{zoo}"], ["{zoo} is not a release of formal languages: it lacks parameters.npy"]),
        (["export", "{zoo}/shards"], ["{zoo}/shards is not a zoo"]),
    ],
)
def test_a_wrong_call_says_what_is_wrong_and_makes_nothing(
    folder: Path, tmp_path: Path, capsys: Captured, arguments: list[str], words: list[str]
) -> None:
    out = tmp_path / "out"
    assert main(["zoo", *(text.format(zoo=folder) for text in arguments), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for text in words:
        assert text.format(zoo=folder) in captured.err
    assert not out.exists()
