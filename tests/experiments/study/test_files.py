"""Study files: what they may say, and what the errors say when they say something else."""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from pathlib import Path

import pytest

from rnn2vec._errors import UsageError
from rnn2vec.emulation.config import PretrainConfig, preset
from rnn2vec.emulation.oracle import Oracle
from rnn2vec.encoders import ENCODERS
from rnn2vec.experiments.study.checked import checked
from rnn2vec.experiments.study.config import BASELINE, Study
from rnn2vec.experiments.study.expand import DEFAULT, pieces_of, points_of, require_trainable
from rnn2vec.experiments.study.files import read_study
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks import FAMILIES

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))
SOUND = """
name: probes
zoo: {preset: tiny}
encoders: [interactive-probing]
seeds: [0, 1]
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_file_becomes_a_study(tmp_path: Path) -> None:
    study = read_study(_written(tmp_path, SOUND))
    assert (study.name, study.encoders, study.seeds) == ("probes", ("interactive-probing",), (0, 1))
    assert study.zoo.preset == "tiny"
    assert study.preset == "laptop"


def test_a_study_survives_json_with_its_order(tmp_path: Path) -> None:
    study = read_study(_written(tmp_path, SOUND + "variants:\n  z: {}\n  a: {pretrain: {batch_size: 3}}\n"))
    again = checked(Study, study.to_dict(), where="here")
    assert again == study
    assert list(again.variants) == ["z", "a"]


@pytest.mark.parametrize(
    ("addition", "problem", "remedy"),
    [
        ("sedes: [3]", "study.yaml: unknown key 'sedes'", "did you mean 'seeds'"),
        ("zoo: {presett: tiny}", "study.yaml, below zoo: unknown key 'presett'", "did you mean 'preset'"),
        ("zoo: {}", "study.yaml: zoo: neither of folder and preset is given", "give one"),
        ("zoo: {preset: tiny, folder: x}", "zoo: both of folder and preset", "give one"),
        ("zoo: {folder: x, options: {seed: 3}}", "zoo: options are given for an existing zoo", "leave them out"),
        ("zoo: {preset: tiny, options: {runs: 3}}", "zoo: unknown zoo option 'runs'", "did you mean 'num_runs'"),
        ("zoo: {preset: tinny}", "study.yaml: unknown preset 'tinny'", "did you mean 'tiny'"),
        ("zoo: {preset: tiny, options: {num_runs: 0}}", "num_runs=0", "at least 1"),
        ("zoo: {preset: tiny, options: {num_runs: a}}", "study.yaml: zoo.options: num_runs is 'a'", "valid integer"),
        ("zoo: {preset: tiny, options: {num_steps: {}}}", "num_steps is {}", "valid integer"),
        ("name: My study", "study.yaml: name 'My study'", "lower-case letters"),
        ("seeds: []", "no encoders or seeds", "at least one"),
        ("seeds: [1, 1]", "seeds [1, 1]", "distinct numbers"),
        ("seeds: [a]", "study.yaml: seeds.0 is 'a'", "valid integer"),
        ("encoders: [dwsnett]", "unknown encoder 'dwsnett'", "did you mean 'dwsnet'"),
        ("settings: [frosen]", "unknown setting 'frosen'", "Known: "),
        ("preset: lapttop", "unknown preset 'lapttop'", "did you mean 'laptop'"),
        ("pretrain: {batch: 3}", "unknown option of pre-training 'batch'", "did you mean 'batch_size'"),
        ("pretrain: {seed: 3}", "seed among the options of pre-training", "give it under seeds"),
        ("variants: {a: {pretrian: {}}}", "below variants.a: unknown key 'pretrian'", "did you mean 'pretrain'"),
        ("variants: {a: {encoders: [x]}}", "variants.a: unknown encoder 'x'", "Known: "),
        ("variants: {A b: {}}", "name 'A b'", "it names files"),
        ("sweeps: {s: {over: seed, values: [1]}}", "sweeps.s: seed among the options", "give it under seeds"),
        ("sweeps: {s: {over: representation_size, values: []}}", "sweeps.s: values=()", "at least one value"),
        ("sweeps: {s: {over: representation_size}}", "sweeps.s.values is missing", "give it"),
    ],
)
def test_an_error_names_the_key_and_what_would_be_right(
    tmp_path: Path, addition: str, problem: str, remedy: str
) -> None:
    key = addition.partition(":")[0]
    kept = "\n".join(line for line in SOUND.splitlines() if not line.startswith(f"{key}:"))
    with pytest.raises(UsageError) as caught:
        read_study(_written(tmp_path, f"{kept}\n{addition}\n"))
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "problem"), [("a: [", "is not a YAML file of a study"), ("- a\n", "holds no keys"), ("", "holds no")]
)
def test_what_is_no_study_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_study(_written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &a [*a]", "refers to itself"),
        (
            "a: &a [1, 1, 1]\n" + "".join(f"{b}: &{b} [{f'*{a}, ' * 9}]\n" for a, b in itertools.pairwise("abcdef")),
            "10,000",
        ),
        ("name: a\nname: b", "a key is given twice"),
        ("a: .nan", "not JSON compliant"),
        ("a: " + "1" * 5000, "digits"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
    ],
)
def test_yaml_without_bounds_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"is not a YAML file of a study: (.|\n)*{problem}"):
        read_study(_written(tmp_path, text))


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be read|is a folder, not a file"):
        read_study(tmp_path / name)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_of_the_repository_is_sound(path: Path) -> None:
    study = read_study(path)
    pieces = pieces_of(study)
    assert study.name == path.stem
    assert len({piece.name for piece in pieces}) == len(pieces)
    assert {piece.encoder for piece in pieces if piece.setting != BASELINE} <= {*ENCODERS, Oracle.name}
    config = study.zoo.to_build()
    assert config is not None
    if config.family not in FAMILIES:
        pytest.skip(f"no family {config.family} is installed")
    family = study.zoo.task_family
    spec = RNNSpec(
        cell=config.cell,
        input_size=family.input_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        output_size=family.output_size,
    )
    require_trainable(pieces, spec, family.interface)
    losses = {piece.config.loss for piece in pieces if isinstance(piece.config, PretrainConfig)}
    assert ("mse" in losses) == (family.interface.output_kind == "continuous")
    assert set(study.properties) <= {prop.name for prop in family.properties}
    if study.zoo.family == "tiled-mnist" and study.zoo.preset == "laptop":
        assert config.num_steps == 2000


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_sweeps_of_the_repository_go_through_what_is_trained_anyway(path: Path) -> None:
    """An option that only the encoder's own default gives would be trained twice."""
    study = read_study(path)
    points = [one for one in points_of(study, 0) if study.sweeps[one.sweep].over.startswith("encoder_options.")]
    swept = {(one.sweep, one.piece.encoder) for one in points}
    assert {(one.sweep, one.piece.encoder) for one in points if one.piece.variant == DEFAULT} == swept


def test_the_papers_variant_of_the_ablation_is_the_papers_preset() -> None:
    study = read_study(STUDIES[0].parent / "ablation.yaml")
    variant = next(piece.config for piece in pieces_of(study) if piece.variant == "paper")
    assert isinstance(variant, PretrainConfig)
    paper = preset("paper", "interactive-probing")
    sizes = ("emulator_hidden_size", "num_steps", "batch_size", "validate_every", "validation_rollouts", "patience")
    options = {**paper.encoder_options, "hidden_size": variant.encoder_options["hidden_size"]}
    ours = {name: getattr(variant, name) for name in sizes}
    assert variant == dataclasses.replace(paper, encoder_options=options, **ours)
