"""Time and peak memory of embedding a folder of checkpoints with the command line.

    python benchmarks/embed_folder.py --checkpoints 10000

The script writes LSTMs (2 x 32) as safetensors to a temporary folder, and an untrained interactive-probing encoder of
the published size (256 hidden units); the values of its weights do not affect the time. It then runs `rnn2vec embed` in
its own process on two threads: on one file, which shows the start-up time, on a tenth of the files, and on all of them,
which shows if memory grows with the number of files. If other work shares the cores, compare processor seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import safetensors.torch
import torch

from rnn2vec import encoders
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.checkpoints import Model, model_config
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec

SPEC = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)
INTERFACE = Interface(input_kind="categorical", output_kind="categorical")


def write_model(folder: Path) -> None:
    """Write an encoder with new weights in the format of `rnn2vec pretrain`."""
    encoder = encoders.build("interactive-probing", SPEC, interface=INTERFACE)
    config = model_config("interactive-probing", {}, {"hidden_size": 32}, SPEC, INTERFACE, 16, {})
    Rnn2Vec(Model(encoder, Emulator(6, 6, hidden_size=32), config)).save(folder)


def write_checkpoints(folder: Path, number: int) -> None:
    """Write RNNs with random weights, a hundred per folder."""
    generator = torch.Generator().manual_seed(0)
    for at in range(number):
        place = folder / f"{at // 100:04d}"
        place.mkdir(parents=True, exist_ok=True)
        weights = {
            f"model.{name}": torch.rand(shape, generator=generator) - 0.5
            for name, shape in SPEC.parameter_shapes.items()
        }
        safetensors.torch.save_file(weights, place / f"{at:06d}.safetensors")


def embed(checkpoints: list[Path], model: Path, out: Path) -> dict[str, float]:
    """Run one command; return its wall seconds, processor seconds and peak resident memory in MiB."""
    command = [
        sys.executable,
        "-m",
        "rnn2vec",
        "embed",
        *map(str, checkpoints),
        "--model",
        str(model),
        "--out",
        str(out),
    ]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def main() -> None:
    """Write the checkpoints, embed them, and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=10_000)
    number = parser.parse_args().checkpoints
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        write_checkpoints(folder / "checkpoints", number)
        everything = folder / "checkpoints"
        tenth = sorted(everything.iterdir())[: max(1, number // 1000)]
        one = next(everything.rglob("*.safetensors"))
        for what, paths, files in (
            ("one", [one], 1),
            ("a tenth", tenth, 100 * len(tenth)),
            ("all", [everything], number),
        ):
            row = {"files": files, **embed(paths, folder / "model", folder / "vectors.parquet")}
            print(f"{what}: {json.dumps(row)}", flush=True)


if __name__ == "__main__":
    main()
