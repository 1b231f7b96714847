"""How the program starts and ends: quickly, with the right exit code, and without a traceback unless asked for."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

import rnn2vec
from rnn2vec._errors import DataError, UsageError
from rnn2vec.cli import main
from rnn2vec.zoo import store

Captured = pytest.CaptureFixture[str]
HEAVY = {"torch", "sklearn", "scipy", "pyarrow", "plotly", "numba"}


def _loaded(code: str) -> set[str]:
    """The libraries that a fresh interpreter has loaded after some code."""
    script = f"import json, sys\n{code}\njson.dump(sorted({{n.split('.')[0] for n in sys.modules}}), sys.stderr)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(result.stderr))


@pytest.mark.parametrize(
    "code",
    [
        "import rnn2vec",
        "import rnn2vec; dir(rnn2vec); rnn2vec.__version__",
        "import rnn2vec.cli",
        *[
            f"from rnn2vec.cli import main\ntry: main({arguments})\nexcept SystemExit as end: assert not end.code"
            for arguments in (["--help"], ["zoo", "--help"], ["zoo", "build", "--help"])
        ],
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    loaded = _loaded(code)
    assert "rnn2vec" in loaded
    assert not loaded & HEAVY


def test_a_public_name_is_loaded_when_it_is_used() -> None:
    assert "torch" in _loaded("import rnn2vec; rnn2vec.RNNStack")


def test_every_public_name_leads_somewhere() -> None:
    for name in rnn2vec.__all__:
        assert getattr(rnn2vec, name) is not None, name
    assert len(set(rnn2vec.__all__)) == len(rnn2vec.__all__)
    with pytest.raises(AttributeError, match=r"has no attribute .Indexes."):
        rnn2vec.Indexes  # noqa: B018


def test_the_program_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "rnn2vec", "zoo", "info", "no-such-folder"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"})
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        "rnn2vec: no-such-folder is not a zoo: it does not exist\n"
        "  -> give a folder that `rnn2vec zoo build --out` made.\n"
    )


def test_the_version_is_printed(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rnn2vec {rnn2vec.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["zoo"], ["zoo", "info"], ["zoo", "info", "a", "b"], ["zoo", "info", "--no"]]
)
def test_a_call_that_cannot_be_understood_ends_with_2(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_help_names_every_verb_and_ends_with_0(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert not leaving.value.code
    said = capsys.readouterr().out
    assert all(verb in said for verb in ("tour", "zoo", "pretrain", "embed"))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("the problem", remedy="the remedy."), 2, "rnn2vec: the problem\n  -> the remedy.\n"),
        (DataError("the problem", remedy="the remedy."), 1, "rnn2vec: the problem\n  -> the remedy.\n"),
        (
            OSError(errno.EIO, "Input/output error", "zoo.json"),
            1,
            (
                "rnn2vec: zoo.json: the system refused: Input/output error\n"
                "  -> check the path and the disk, and rerun the command; what was finished is kept.\n"
            ),
        ),
        (KeyboardInterrupt(), 130, "rnn2vec: interrupted; rerun the command to resume\n"),
    ],
)
def test_an_error_is_told_on_stderr_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, error: BaseException, code: int, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(store.Manifest, "read", fail)
    assert main(["zoo", "info", "zoo"]) == code
    captured = capsys.readouterr()
    assert captured.err.endswith(said)
    assert captured.out == ""
