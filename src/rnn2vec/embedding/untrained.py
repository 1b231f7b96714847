"""Random probing for the user's RNNs: an encoder that needs no training, in the unit of the RNNs themselves."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._provenance import provenance
from rnn2vec._seeding import numpy_generator
from rnn2vec.embedding.reading import Portion, portions, read
from rnn2vec.emulation.checkpoints import Model, make_model, model_config
from rnn2vec.emulation.recorded import kinds_of
from rnn2vec.emulation.sequences import Inputs, Sequences
from rnn2vec.encoders import build
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.random_probing import RandomProbing
from rnn2vec.rnn.interface import Interface, Kind
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints

SIZE = 64
"""Entries of an untrained representation: distances are off by about 1/sqrt(2 SIZE), 9 %."""
MOST_PROBES = 16
"""Sequences of the user's that probe."""
LONGEST_PROBE = 64
"""Steps of each that are read."""
_COMPARED = 64
_MOST_SAMPLED = 256  # RNNs that set the unit of the outputs; more would hardly move it


def untrained(
    stacks: Sequence[RNNStack],
    inputs: Inputs | None = None,
    *,
    output_kind: Kind | None = None,
    interface: Interface | None = None,
    representation_size: int = SIZE,
    seed: int = 0,
) -> Model:
    """Build an encoder that needs no training: random probing.

    Args:
        stacks: RNNs that set the unit of continuous outputs; the encoder takes all with the most frequent input and
            output sizes among them.
        inputs: sequences like those that the RNNs are made for, as for `Rnn2Vec.fit`; 16 of them are the probes. By
            default probes are drawn at random over the input range.
        output_kind: kind of the outputs, as for `Rnn2Vec.fit`.
        interface: kinds and range of inputs and outputs, where a task family knows them.
        representation_size: entries of a representation.
        seed: draws probes and projection.

    Raises:
        UsageError: there are no RNNs, or the inputs do not fit them.
    """
    if not sum(map(len, stacks)):
        raise UsageError("no RNN to compare", remedy="give at least one.")
    spec = _most_frequent(stacks)
    alike = [stack for stack in stacks if _sides(stack.spec) == _sides(spec) and len(stack)]
    probes = None
    if inputs is not None:
        sequences = Sequences.read(inputs, spec.input_size, sum(map(len, stacks)))
        interface = kinds_of(sequences, spec, output_kind)
        probes = sequences.probes(MOST_PROBES, LONGEST_PROBE)
    interface = interface or Interface(output_kind=output_kind or "continuous")
    options = {} if probes is None else {"num_sequences": probes.shape[0], "sequence_length": probes.shape[1]}
    config = model_config("random-probing", options, None, spec, interface, representation_size, provenance())
    model = make_model(config, seed=seed)
    encoder = model.encoder
    assert isinstance(encoder, RandomProbing)
    if probes is not None:
        encoder.ask(probes)
    encoder.standardize(alike)
    if interface.output_kind == "continuous":
        centre, spread = encoder.scale.median(dim=1).values.tolist()
        encoder.interface = dataclasses.replace(interface, output_scale=(centre, spread))
        config["interface"] = encoder.interface.to_dict()
    return model


def untrained_for_files(
    files: Sequence[Path],
    inputs: Inputs | None = None,
    *,
    output_kind: Kind | None = None,
    seed: int = 0,
    **hints: Unpack[Hints],
) -> Model:
    """Build an encoder for checkpoints and zoos that needs no training, from a sample of at most 256 of the RNNs.

    Args:
        files: as `checkpoint_files` returns them.
        inputs: as for `untrained`.
        output_kind: as for `untrained`.
        seed: draws the sample, probes and projection.
        **hints: what the files leave open.

    Raises:
        UsageError: none of the sampled files can be read.
        DataError: none of the sampled files can be read, and the first is damaged.
    """
    stacks: list[RNNStack] = []
    interfaces: list[Interface | None] = []
    left_out = []
    for portion in _sampled(portions(files), seed):
        opened = read(portion, lambda _: None, **hints)
        stacks += opened.stacks
        left_out += opened.left_out
        interfaces.append(portion.zoo.family.interface if portion.zoo else None)
    if not stacks and left_out:
        raise left_out[0].error
    interface = interfaces[0] if interfaces and all(one == interfaces[0] for one in interfaces) else None
    return untrained(stacks, inputs, output_kind=output_kind, interface=interface, seed=seed)


def probes_for(encoder: WeightEncoder, spec: RNNSpec) -> Float[Tensor, "M L I"]:
    """Return sequences to compare RNNs on: those of random probing, or random ones of an encoder's interface."""
    if isinstance(encoder, RandomProbing):
        return encoder.probes
    random = build("random-probing", spec, interface=encoder.interface, num_sequences=_COMPARED)
    assert isinstance(random, RandomProbing)
    return random.probes


def _sampled(planned: Sequence[Portion], seed: int) -> list[Portion]:
    """Return at most 256 of the RNNs, drawn by seed, in order."""
    places = [(number, row) for number, portion in enumerate(planned) for row in range(len(portion))]
    drawn = numpy_generator(seed, "sample").permutation(len(places))[:_MOST_SAMPLED]
    chosen: dict[int, list[int]] = defaultdict(list)
    for place in sorted(drawn):
        number, row = places[place]
        chosen[number].append(row)
    return [planned[number].choose(rows) for number, rows in chosen.items()]


def _most_frequent(stacks: Sequence[RNNStack]) -> RNNSpec:
    """Return the most frequent architecture among those with the most frequent input and output sizes."""
    sides: Counter[tuple[int, int]] = Counter()
    for stack in stacks:
        sides[_sides(stack.spec)] += len(stack)
    wanted = sides.most_common(1)[0][0]
    counts: Counter[RNNSpec] = Counter()
    for stack in stacks:
        if _sides(stack.spec) == wanted:
            counts[stack.spec] += len(stack)
    return counts.most_common(1)[0][0]


def _sides(spec: RNNSpec) -> tuple[int, int]:
    return spec.input_size, spec.output_size
