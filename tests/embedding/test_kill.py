"""A real `kill -9` while a folder is embedded: the same command goes on, to the bytes of one that was never killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

FILES, AT_ONCE = 600, 20
SCRIPT = f"""
import sys
from pathlib import Path
from rnn2vec.embedding import reading
from rnn2vec.embedding.many_files import embed_files_to
from rnn2vec.embedding.rnn2vec import Rnn2Vec

model, folder, out = sys.argv[1:]
load_rnn, reading._RNNS_AT_ONCE = reading.read_rnn, {AT_ONCE}

def load(path, **hints):
    print("read", flush=True)
    return load_rnn(path, **hints)

reading.read_rnn = load
files = reading.checkpoint_files([Path(folder)])
result = embed_files_to(Path(out), Rnn2Vec.from_pretrained(model), files)
assert len(result.names) == {FILES - 1} and len(result.left_out) == 1
"""


@pytest.mark.slow
def test_embedding_goes_on_after_kills(tiny_run: Path, random_rnns: Callable[..., RNNStack], tmp_path: Path) -> None:
    spec = RNNSpec(cell="lstm", input_size=6, hidden_size=8, num_layers=1, output_size=6)
    folder, out = tmp_path / "checkpoints", tmp_path / "killed.parquet"
    folder.mkdir()
    for number, module in enumerate(random_rnns(spec, FILES).to_modules()):
        safetensors.torch.save_file(module.state_dict(), folder / f"{number:03}.safetensors")
    (folder / "300.safetensors").write_bytes(b"torn")

    def start(out: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, str(tiny_run), str(folder), str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    generator = np.random.default_rng(0)
    for _ in range(3):
        process = start(out)
        assert process.stdout is not None
        for _ in range(int(generator.integers(100, 160))):
            assert process.stdout.readline() == "read\n"
        time.sleep(float(generator.uniform(0, 0.02)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
    kept = len(list((tmp_path / "killed.parquet.parts").glob("0*.parquet")))
    assert kept >= 3  # each of three runs read five portions or more, of which at most four were under way

    last, whole = start(out), start(tmp_path / "whole.parquet")
    said = [process.communicate(timeout=120)[0].count("read") for process in (last, whole)]
    assert [last.returncode, whole.returncode] == [0, 0]
    assert said == [FILES - AT_ONCE * kept, FILES]
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "killed.parquet", "whole.parquet"]
