"""Length and size of a training on the user's RNNs: from their number and size, or within a time budget."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import read_json
from rnn2vec.embedding.untrained import SIZE
from rnn2vec.emulation import losses
from rnn2vec.emulation.checkpoints import RUN
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import Source
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.encoders.random_probing import RandomProbing

FEWEST_TO_LEARN_PROBES = 100
"""RNNs from which probing sequences are learned. With 50 GRU forecasters, after 425 updates, learned ones imitated the
training RNNs with an error of 0.03 and held-out ones with 0.41 of the variance, fixed ones with 0.03 and 0.26; with 128
and more, learned ones are as good in the examples."""
_VALIDATIONS = 40
_SECONDS_TO_CHECKPOINT = 20.0
_MULTIPLICATIONS_PER_SECOND = 2e9  # of one slow core, backward pass included
_TRIAL_UPDATES = 12
_FEWEST_UPDATES = 50
_USABLE = 0.85
"""Share of a time budget that goes into updates; the rest is for reading, validations and the report."""


def recommended(num_rnns: int, parameters: int, length: int, probes: tuple[int, ...] | None = None) -> PretrainConfig:
    """Return the recommended config for the user's RNNs.

    Fewer than 100 RNNs are probed by some of the user's own sequences, which are not learned, and the emulator alone is
    trained.

    Updates grow slowly with the number of RNNs (1000 for 50, 2000 for 500, 4000 for 5000). Forty validations see early
    whether it works; ten without progress stop the training. They are closer together where updates are so slow that
    the first checkpoint would take more than about 20 seconds.

    Args:
        num_rnns: RNNs to train on.
        parameters: weights of the largest of them.
        length: steps of an input sequence.
        probes: number and length of the user's sequences that could probe; None where there are none.
    """
    num_steps = min(8000, max(600, round(1000 * (num_rnns / 50) ** 0.3)))
    width = 64 if num_rnns < 1000 else 128
    batch = min(64, num_rnns)
    work = 2 * batch * length * (parameters + 3 * 12 * width**2)  # forward through RNNs, both ways through the emulator
    affordable = max(5, int(_SECONDS_TO_CHECKPOINT * _MULTIPLICATIONS_PER_SECOND / work))
    options: dict[str, Any] = {"encoder_options": {"hidden_size": width, "sequence_length": min(22, max(4, length))}}
    if probes is not None and num_rnns < FEWEST_TO_LEARN_PROBES:
        shape = {"num_sequences": probes[0], "sequence_length": probes[1]}
        options = {"encoder": RandomProbing.name, "encoder_options": shape, "representation_size": SIZE}
    return PretrainConfig(
        **options,
        emulator_hidden_size=width,
        num_steps=num_steps,
        warm_up_steps=num_steps // 20,
        rollouts_per_rnn=2,
        validate_every=min(num_steps // _VALIDATIONS, affordable),
        patience=10,
    )


def with_loss(config: PretrainConfig, source: Source) -> PretrainConfig:
    """Return the config with a loss that fits the outputs."""
    known = losses.distances(source.interface.output_kind)
    return config if config.loss in known else dataclasses.replace(config, loss=next(iter(known)))


def within(budget: float, config: PretrainConfig, source: Source, device: str) -> PretrainConfig:
    """Return the config with no more updates than fit into a time budget, as measured by a few of them.

    Args:
        budget: seconds.
        config: the config without a budget.
        source: RNNs and inputs.
        device: where to train.

    Raises:
        UsageError: the budget is not above 0.
    """
    if not budget > 0:
        raise UsageError(f"a time budget of {budget} seconds", remedy="give a number above 0.")
    trial = dataclasses.replace(
        config, num_steps=_TRIAL_UPDATES, validate_every=_TRIAL_UPDATES, validation_rollouts=1, warm_up_steps=0
    )
    times: list[float] = []

    def note_time(done: float, total: float, what: str) -> None:
        del done, total, what
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as temporary:
        pretrain(source, trial, Path(temporary) / "run", device=device, progress=note_time)
    each = (times[_TRIAL_UPDATES - 1] - times[0]) / (_TRIAL_UPDATES - 1)  # the first one also sets things up
    num_steps = min(config.num_steps, max(_FEWEST_UPDATES, int(_USABLE * budget / each)))
    return dataclasses.replace(
        config,
        num_steps=num_steps,
        warm_up_steps=num_steps // 20,
        validate_every=max(1, min(config.validate_every, num_steps // 10)),
    )


def config_of(out: Path) -> PretrainConfig | None:
    """Return the config of an unfinished run, which a time budget must not change; None for a new run.

    Raises:
        DataError: `run.json` is damaged.
    """
    path = out / RUN
    if not path.is_file():
        return None
    try:
        return PretrainConfig(**read_json(path)["config"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} does not have the entries of a run", remedy="give another --out.") from error
