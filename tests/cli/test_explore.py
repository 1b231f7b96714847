"""`rnn2vec explore`: one collection, served until Ctrl-C, or exported."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from rnn2vec.cli import main

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b"], "2 collections"),
        (["missing"], "missing"),
        (["{zoo}", "--model", "missing"], "missing"),
        (["{zoo}", "--port", "70000"], "cannot listen on"),
        (["{zoo}", "--host", "203.0.113.1"], "give another --port or --host"),
    ],
)
def test_a_wrong_call_is_explained(arguments: list[str], said: str, folder: Path, capsys: Captured) -> None:
    assert main(["explore", *(one.format(zoo=folder) for one in arguments)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "\n  -> " in captured.err


def test_without_a_collection_the_sample_zoo_is_shown(capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # the zoo is embedded before the port is tried
        assert main(["explore", "--port", str(taken.getsockname()[1])]) == 2
    captured = capsys.readouterr()
    assert "formal-languages" in captured.err
    assert "cannot listen on" in captured.err


def test_a_busy_port_is_named(folder: Path, capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["explore", str(folder), "--port", str(port)]) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_a_copy_is_exported(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["explore", str(folder), "--export", str(tmp_path / "page"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert Path(result["page"]).read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_serves_until_ctrl_c(folder: Path, host: str) -> None:
    command = [sys.executable, "-m", "rnn2vec", "explore", str(folder), "--port", "0", "--host", host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"RNNs on (http://\S+)", process.stdout.readline())
            assert found is not None
            assert ("token=" in found[1]) == (host == "0.0.0.0")
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
            with opener.open(found[1].replace("0.0.0.0", "127.0.0.1"), timeout=30) as response:
                assert b"rnn2vec explorer" in response.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
