"""What every test gets: one thread, the same examples and the same random numbers each time."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import os
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import settings

if TYPE_CHECKING:
    from rnn2vec.experiments.tour.measure import TourResults
    from rnn2vec.rnn.spec import RNNSpec
    from rnn2vec.rnn.stack import RNNStack
    from rnn2vec.zoo.store import Zoo

SOURCE = Path(__file__).parents[1] / "src"


def _checked_modules() -> list[str]:
    """Every module whose shapes and types are checked in tests: all but the kernels, which Numba must see bare."""
    files = (SOURCE / "rnn2vec").rglob("*.py")
    names = (".".join(file.relative_to(SOURCE).with_suffix("").parts) for file in files)
    return [name for name in names if not (name.endswith((".__init__", "_kernels")) or ".kernels." in name)]


# An int will do for a float, as everywhere in Python.
_CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
jaxtyping.install_import_hook(_checked_modules(), _CHECKER)
settings.register_profile("rnn2vec", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("rnn2vec")
torch.set_num_threads(1)
# Triton's kernels run on the CPU. Triton reads this when it is imported, which torch does as it likes.
os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture
def generator() -> torch.Generator:
    """A source of random numbers that starts afresh in every test."""
    return torch.Generator().manual_seed(20240721)


@pytest.fixture
def without_type_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What users have: values that fit no annotation reach the library, and its own errors answer."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def random_rnns(generator: torch.Generator) -> Callable[..., RNNStack]:
    """`random_rnns(spec, 3)`: a stack of RNNs with random weights of about the size that trained ones have."""
    from rnn2vec.rnn.stack import RNNStack

    def make(spec: RNNSpec, number: int = 3, dtype: torch.dtype = torch.float32) -> RNNStack:
        flat = torch.rand(number, spec.num_parameters, generator=generator, dtype=dtype)
        return RNNStack.from_flat(spec, 1.2 * flat - 0.6)

    return make


@pytest.fixture
def triton() -> None:
    """Skip the test where Triton is not installed."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed (pip install 'rnn2vec[triton]')")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Mapping[str, str], str], Path]:
    """`installed("mine", {"rnn2vec.encoders mean": "Mean"}, code)`: a package, with the metadata that pip writes.

    Its one module has that code; each entry point, group and name, is an attribute of it. Returns its folder.
    """
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def install(module: str, entry_points: Mapping[str, str], code: str) -> Path:
        metadata = folder / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        points = [(*point.split(), attribute) for point, attribute in entry_points.items()]
        lines = [f"[{group}]\n{name} = {module}:{attribute}\n" for group, name, attribute in points]
        (metadata / "entry_points.txt").write_text("\n".join(lines))
        (folder / f"{module}.py").write_text(code)
        monkeypatch.delitem(sys.modules, module, raising=False)
        return folder

    return install


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 100 small images of ten classes in MNIST's files. Read only.

    Class c is a bright bar, 20 pixels long, through rows 2c + 3 and 2c + 4, on noise.
    """
    folder = tmp_path_factory.mktemp("digits")
    generator = np.random.default_rng(11)
    labels = np.arange(100, dtype=np.uint8) % 10
    images = generator.integers(0, 60, (100, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 3 : 2 * label + 5, 4:24] = generator.integers(180, 256, (2, 20))
    header = {"images-idx3": struct.pack(">IIII", 0x803, 100, 28, 28), "labels-idx1": struct.pack(">II", 0x801, 100)}
    for (name, start), content in zip(header.items(), (images, labels), strict=True):
        (folder / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(start + content.tobytes(), mtime=0))
    return folder


@pytest.fixture(scope="session")
def tiny_mnist_zoo(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """4 runs x 2 snapshots of LSTMs with 8 hidden units that learn `digits`; two runs are for validation. Read only."""
    from rnn2vec.zoo.build import build_zoo
    from rnn2vec.zoo.config import ZooConfig

    config = ZooConfig(
        family="tiled-mnist",
        family_options={"folder": digits, "tile_size": 7},
        num_runs=4,
        num_steps=40,
        hidden_size=8,
        num_rollouts=5,
        num_episodes=15,
        runs_per_shard=2,
        backend="torch",
    )
    return build_zoo(config, tmp_path_factory.mktemp("mnist") / "zoo")


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """12 runs x 2 snapshots of the paper's languages and LSTMs, hardly trained; all splits are there. Read only."""
    from rnn2vec.zoo.build import build_zoo
    from rnn2vec.zoo.config import PRESETS

    config = dataclasses.replace(PRESETS["tiny"], num_runs=12, num_steps=60, backend="torch")
    return build_zoo(config, tmp_path_factory.mktemp("tiny") / "zoo")


@pytest.fixture(scope="session")
def tiny_run(tiny_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished pre-training run of interactive probing on `tiny_zoo`. Read only."""
    from rnn2vec.emulation.config import preset
    from rnn2vec.emulation.pretrain import pretrain

    folder = tmp_path_factory.mktemp("tiny") / "run"
    pretrain(tiny_zoo, dataclasses.replace(preset("tiny"), batch_size=16), folder)
    return folder


@dataclasses.dataclass
class TinyTour:
    """Zoo and runs, as `rnn2vec tour` has them before its report."""

    zoo: Zoo
    """The zoo."""
    runs: dict[str, Path]
    """Folder of each encoder's run."""


@pytest.fixture(scope="session")
def tiny_tour(tmp_path_factory: pytest.TempPathFactory) -> TinyTour:
    """A tour in miniature: a tiny zoo and three tiny runs on it. Read only."""
    from rnn2vec.emulation.config import preset as pretrain_preset
    from rnn2vec.emulation.pretrain import pretrain
    from rnn2vec.experiments.tour.measure import BLIND, INTERACTIVE, STATIC
    from rnn2vec.zoo.build import build_zoo
    from rnn2vec.zoo.config import preset as zoo_preset

    folder = tmp_path_factory.mktemp("tour")
    zoo_config = dataclasses.replace(zoo_preset("tiny"), num_steps=100, backend="torch")  # no compilation
    zoo = build_zoo(zoo_config, folder / "zoo")
    encoders = (INTERACTIVE, STATIC, BLIND)
    for encoder in encoders:
        config = dataclasses.replace(pretrain_preset("tiny", encoder), num_steps=20, validate_every=10)
        pretrain(zoo, config, folder / encoder)
    return TinyTour(zoo, {encoder: folder / encoder for encoder in encoders})


@pytest.fixture(scope="session")
def tour_results(tiny_tour: TinyTour) -> TourResults:
    """Measurements of the tour in miniature."""
    from rnn2vec.experiments.tour.measure import measure

    return measure(tiny_tour.zoo, tiny_tour.runs)
