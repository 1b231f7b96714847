"""The five files of `docs/extending.md`, installed beside the package and used from building a zoo to embedding."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from rnn2vec import Rnn2Vec, Zoo, load_rnn
from rnn2vec._errors import DataError, UsageError
from rnn2vec.cli import main
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.pretrain import pretrain

Install = Callable[[str, Mapping[str, str], str], Path]
PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python title=\"(\w+)\.py\"\n(.*?)```", PAGE, flags=re.DOTALL))
POINTS = re.findall(r"\[project\.entry-points\.\"(.+?)\"\]\n([\w-]+) = \"(\w+):(\w+)\"", PAGE)


@pytest.fixture
def site(installed: Install) -> Path:
    """The five packages, as pip would install them."""
    for group, name, module, attribute in POINTS:
        folder = installed(module, {f"{group} {name}": attribute}, FILES[module])
    return folder


def test_each_extension_is_one_short_file() -> None:
    assert len(FILES) == len(POINTS) == 5
    assert {module for _, _, module, _ in POINTS} == set(FILES)
    assert max(len(code.splitlines()) for code in FILES.values()) <= 60


def test_five_extensions_work_together_from_build_to_embed(site: Path, tmp_path: Path) -> None:
    build = ["zoo", "build", "running-sum", "--preset", "tiny", "--cell", "ugrnn", "--hidden-size", "6", "--runs", "6"]
    with pytest.warns(UserWarning, match="no kernel for the cell 'ugrnn'; torch trains them"):
        assert main([*build, "--steps", "20", "--backend", "auto", "--out", str(tmp_path / "zoo"), "--json"]) == 0
    zoo = Zoo(tmp_path / "zoo")
    assert (zoo.family.name, zoo.spec.cell) == ("running-sum", "ugrnn")
    assert (zoo.column("train_loss")[zoo.where(step=20)] < zoo.column("train_loss")[zoo.where(step=0)]).all()
    config = PretrainConfig(
        encoder="mean-weights", loss="hellinger", warm_up_loss=0.0, emulator_hidden_size=8, num_steps=3, batch_size=3
    )
    pretrain(zoo, config, tmp_path / "run")

    model = Rnn2Vec(tmp_path / "run")
    (tmp_path / "files").mkdir()
    content = {"spec": zoo.spec.to_dict(), "weights": zoo[3].flatten()[0].tolist()}
    (tmp_path / "files" / "one.json").write_text(json.dumps(content))
    np.testing.assert_allclose(model.embed([tmp_path / "files" / "one.json"])[0], model.embed(zoo)[3], atol=1e-6)

    # A process of its own finds them all by their metadata.
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from rnn2vec.cli import main; "
        f"sys.exit(main(['embed', {str(tmp_path / 'files')!r}, '--model', {str(tmp_path / 'run')!r}, '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout)["vectors"], model.embed(zoo[3]), atol=1e-6)


@pytest.mark.usefixtures("site")
def test_a_bad_file_of_a_registered_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text("{}")
    with pytest.raises(DataError, match=r"bad.json is no RNN in JSON: 'spec'"):
        load_rnn(path)
    with pytest.raises(UsageError, match=r"cell for a \.json file"):
        load_rnn(path, cell="lstm")
