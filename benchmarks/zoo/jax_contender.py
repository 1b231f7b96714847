"""The contender in JAX, an optional library: many updates of all RNNs in one compiled function.

This is the fastest version that we found without custom kernels: the examples are on the device, the state is donated,
`lax.scan` runs over time and over updates, AdamW is compiled with the rest, and each core is a separate device with its
share of the RNNs. There are two ways to combine RNNs, and both are measured: `vmap` makes each update for all RNNs at
once; `lax.map` makes all updates of one RNN after another, which keeps its weights in the cache. Unrolling the scan
over time (3 to 5 times) and `lax.map` within each update were slower.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.zoo.contenders import DECAY, RATE, Contender, initial_weights
from benchmarks.zoo.workload import BATCH_SIZE, Workload, as_arrays
from rnn2vec.execution.cores import usable_cores
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.backends.base import BETAS, EPSILON

jax.config.update("jax_num_cpu_devices", usable_cores())  # before the first computation, or all cores are one device


class JaxContender(Contender):
    """LSTMs in JAX.

    Args:
        how: `"vmap"` or `"lax.map"`, see the module.
        workload: the runs to train.
    """

    UPDATES_PER_CALL = 10
    """Number of updates compiled into one call; a larger number is not faster."""

    def __init__(self, how: Literal["vmap", "lax.map"], workload: Workload) -> None:
        super().__init__(f"jax, {how}")
        self._number, spec = len(workload.examples), workload.spec
        devices = jax.devices("cpu")
        most = max(count for count in range(1, len(devices) + 1) if self._number % count == 0)
        mesh, each = Mesh(np.array(devices[:most]), ("rnns",)), PartitionSpec("rnns")
        put = functools.partial(jax.device_put, device=NamedSharding(mesh, each))
        stack = RNNStack.from_flat(spec, torch.from_numpy(initial_weights(spec, self._number)))
        weights = {name: weight.numpy() for name, weight in stack.weights.items()}
        zeros = {name: np.zeros_like(weight) for name, weight in weights.items()}
        keys = jax.random.split(jax.random.key(0), self._number)
        self._state = put((weights, zeros, zeros, np.zeros(self._number, dtype=np.float32), keys))
        self._examples = put(_stacked_examples(workload))
        every_rnn = _updates_side_by_side if how == "vmap" else _updates_in_turn
        train = functools.partial(every_rnn, spec.num_layers, self.UPDATES_PER_CALL)
        # Devices exchange nothing, so there are no replicated values whose equality could be checked.
        sharded = jax.shard_map(train, mesh=mesh, in_specs=each, out_specs=each, check_vma=False)
        self._train = jax.jit(sharded, donate_argnums=0)

    def run(self, updates: int) -> int:
        """Train; see `Contender.run`."""
        calls = max(updates // self.UPDATES_PER_CALL, 1)
        for _ in range(calls):
            self._state = self._train(self._state, self._examples)
        jax.block_until_ready(self._state)
        return calls * self.UPDATES_PER_CALL * self._number


def _stacked_examples(workload: Workload) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stack the inputs and targets of all runs, padded to one size, with the number of real examples of each run."""

    def pad(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.repeat(array[:1], workload.most - len(array), axis=0)])

    pairs = [as_arrays(one, workload.spec.input_size) for one in workload.examples]
    inputs, targets = (np.stack([pad(array) for array in arrays]) for arrays in zip(*pairs, strict=True))
    return inputs, targets.astype(np.int32), np.array([len(one) for one in workload.examples], dtype=np.int32)


def loss(num_layers: int, weights: Any, inputs: Any, targets: Any) -> Any:
    """Compute the mean cross-entropy of an LSTM, with weights under PyTorch's names, over `(B, T, I)` and `(B, T)`."""
    x = jnp.swapaxes(inputs, 0, 1)
    for layer in range(num_layers):
        recurrent = weights[f"rnn.weight_hh_l{layer}"].T
        bias = weights[f"rnn.bias_ih_l{layer}"] + weights[f"rnn.bias_hh_l{layer}"]
        start = (jnp.zeros((x.shape[1], len(recurrent))),) * 2
        _, x = jax.lax.scan(functools.partial(_cell, recurrent), start, x @ weights[f"rnn.weight_ih_l{layer}"].T + bias)
    log_chances = jax.nn.log_softmax(x @ weights["readout.weight"].T + weights["readout.bias"])
    return -jnp.take_along_axis(log_chances, jnp.swapaxes(targets, 0, 1)[..., None], axis=-1).mean()


def _cell(recurrent: Any, carry: Any, x: Any) -> Any:
    """Compute one time step; `x` is the input's contribution to the gates."""
    hidden, memory = carry
    i, f, g, o = jnp.split(x + hidden @ recurrent, 4, axis=-1)
    memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
    hidden = jax.nn.sigmoid(o) * jnp.tanh(memory)
    return (hidden, memory), hidden


def update(num_layers: int, state: Any, examples: Any) -> Any:
    """Make one update of one RNN on a new batch; the state is weights, both moments, step and key."""
    weights, first, second, step, key = state
    inputs, targets, count = examples
    key, now = jax.random.split(key)
    rows = jax.random.randint(now, (BATCH_SIZE,), 0, count)
    slope = jax.grad(functools.partial(loss, num_layers))(weights, inputs[rows], targets[rows])
    step = step + 1
    first = jax.tree.map(lambda m, d: BETAS[0] * m + (1 - BETAS[0]) * d, first, slope)
    second = jax.tree.map(lambda v, d: BETAS[1] * v + (1 - BETAS[1]) * d * d, second, slope)
    rate, root = RATE / (1 - BETAS[0] ** step), jnp.sqrt(1 - BETAS[1] ** step)
    weights = jax.tree.map(
        lambda p, m, v: (1 - RATE * DECAY) * p - rate * m / (jnp.sqrt(v) / root + EPSILON), weights, first, second
    )
    return weights, first, second, step, key


def _updates_side_by_side(num_layers: int, number: int, state: Any, examples: Any) -> Any:
    """Make each update for all RNNs at once."""
    every_rnn = jax.vmap(functools.partial(update, num_layers))
    return jax.lax.scan(lambda now, _: (every_rnn(now, examples), None), state, length=number)[0]


def _updates_in_turn(num_layers: int, number: int, state: Any, examples: Any) -> Any:
    """Make all updates of one RNN, then those of the next."""

    def one_rnn(rnn: Any) -> Any:
        start, own = rnn
        return jax.lax.scan(lambda now, _: (update(num_layers, now, own), None), start, length=number)[0]

    return jax.lax.map(one_rnn, (state, examples))
