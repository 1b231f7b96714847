"""N RNNs of one architecture as stacked weights, run as one computation.

Every weight has a leading axis N, and a step of all RNNs is one batched matrix product. The alternatives
were a list of modules (a Python loop over RNNs: fifty times slower at N = 64) and `torch.func.vmap` over one
module (the same products, but no cuDNN and no way to see into a step); plain `baddbmm` is both the fastest
on two cores and the easiest to read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Unpack

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rnn2vec._errors import DataError, UsageError
from rnn2vec._shapes import FlatWeights, InputSequences, InputStep, LayerState, OutputSequences, OutputStep, State
from rnn2vec.rnn import convert, symmetry
from rnn2vec.rnn.cells.base import LayerWeights, affine
from rnn2vec.rnn.parts import Converted, name_of, warn_of
from rnn2vec.rnn.spec import RNNSpec, parameter_name
from rnn2vec.rnn.state_dicts import Hints, readings
from rnn2vec.rnn.verify import agreeing, matching, require_same_answers


def slice_of(chosen: Any, length: int) -> Any:
    """Return an index that keeps its axis: a number becomes a slice of one, a sequence an array.

    Raises:
        IndexError: if the number is out of range.
    """
    if isinstance(chosen, int | np.integer) and not isinstance(chosen, bool):
        if not -length <= chosen < length:
            raise IndexError(f"number {chosen} of {length} RNNs")
        return slice(int(chosen) % length, int(chosen) % length + 1)
    if isinstance(chosen, slice):
        return chosen
    array = np.asarray(chosen.cpu() if isinstance(chosen, Tensor) else chosen)
    return array if len(array) else array.astype(np.int64)


class RNNStack:
    """N RNNs with the same spec and different weights.

    Examples:
        >>> spec = RNNSpec(cell="gru", input_size=4, hidden_size=8, num_layers=1, output_size=4)
        >>> stack = RNNStack.from_flat(spec, torch.zeros(3, spec.num_parameters))
        >>> stack(torch.zeros(3, 2, 5, 4))[0].shape  # 2 sequences of 5 steps for each of 3 RNNs
        torch.Size([3, 2, 5, 4])

    `stack(inputs)` equals running each RNN as a `torch.nn` module with a linear readout, to 1e-5 in float32,
    gradients included.

    Args:
        spec: the architecture that all N share.
        weights: for each name in `spec.parameter_shapes` a tensor `(N, *shape)`.
        assumed: assumptions of the converter about what a source leaves open; empty where it says everything.

    Raises:
        UsageError: if names or shapes do not fit the spec.
    """

    def __init__(self, spec: RNNSpec, weights: Mapping[str, Tensor], *, assumed: tuple[str, ...] = ()) -> None:
        expected = spec.parameter_shapes
        if set(weights) != set(expected):
            different = sorted(set(weights) ^ set(expected))
            raise UsageError(
                f"weights do not fit the spec ({spec}): {', '.join(different)} missing or unknown",
                remedy=f"give exactly these: {', '.join(expected)}.",
            )
        num_rnns = weights["readout.bias"].shape[:1]
        for name, shape in expected.items():
            if tuple(weights[name].shape) != (*num_rnns, *shape):
                raise UsageError(
                    f"{name} has shape {tuple(weights[name].shape)}, expected (N, {', '.join(map(str, shape))})",
                    remedy=f"give one weight of that shape per RNN, the same N everywhere; the spec is {spec}.",
                )
        self.spec = spec
        self.weights = {name: weights[name] for name in expected}
        self.assumed = assumed

    # -- making and taking apart -------------------------------------------------------------------

    @classmethod
    def from_flat(cls, spec: RNNSpec, flat: FlatWeights) -> RNNStack:
        """Build a stack from flat weights `(N, P)` in the order of `spec.parameter_shapes`; views, no copy.

        Raises:
            UsageError: if P is not `spec.num_parameters`.
        """
        if flat.shape[1] != spec.num_parameters:
            raise UsageError(
                f"{flat.shape[1]} parameters per RNN, but {spec} has {spec.num_parameters}",
                remedy="give flat weights (N, P) of this architecture, or the spec that they belong to.",
            )
        shapes = spec.parameter_shapes
        parts = flat.split([math.prod(shape) for shape in shapes.values()], dim=1)
        named = zip(shapes.items(), parts, strict=True)
        return cls(spec, {name: part.unflatten(1, shape) for (name, shape), part in named})

    @classmethod
    def from_modules(
        cls,
        modules: Sequence[nn.Module],
        *,
        verify: bool = True,
        inputs: Tensor | None = None,
        names: Sequence[str] = (),
        **hints: Unpack[Hints],
    ) -> RNNStack:
        """Read modules that each hold one recurrent module and a linear readout.

        The names of the submodules do not matter. Weights are copied; an `nn.Embedding` or a linear layer in front is
        folded into them. Anything else that a module does (a nonlinearity before the readout, say) is not read, but
        noticed: modules that have a `forward` are run, and must answer as what was read, to 1e-5.

        Args:
            modules: one per RNN.
            verify: whether to run the modules, in evaluation mode; see `rnn2vec.rnn.verify`.
            inputs: real inputs, numbers `(S, T, I)` or tokens `(S, T)`, on which modules are run too.
            names: names of the modules in errors.
            **hints: what modules leave open, see `rnn2vec.rnn.state_dicts.Hints`.

        Raises:
            UsageError: if a module does not hold `nn.LSTM`, `nn.GRU` or `nn.RNN` (one direction, no projection) or
                cells of one of them, and an `nn.Linear` that fits it, or holds other weights besides, or answers
                otherwise, or the modules differ in architecture.
            DataError: if a weight is NaN or infinite.
        """

        def convert_one(module: nn.Module) -> Converted:
            options = convert.readings(module, is_run=verify, **hints)
            several = len(options) > 1 and verify
            return options[matching(module, [cls.of_one(one) for one in options])] if several else options[0]

        stack = cls._converted(modules, convert_one, names)
        if verify:
            require_same_answers(modules, stack, inputs, names)
        warn_of(stack.assumed)
        return stack

    @classmethod
    def from_state_dicts(
        cls, state_dicts: Sequence[Mapping[str, Any]], *, names: Sequence[str] = (), **hints: Unpack[Hints]
    ) -> RNNStack:
        """Read state dicts of modules as `from_modules` takes them.

        A state dict does not say how its parts are connected. Assumptions are in `assumed`, and given as an
        `AssumedWarning`.

        Args:
            state_dicts: one per RNN, names with any prefix (`module.`, `model.rnn.`).
            names: names of the state dicts in errors.
            **hints: what state dicts leave open, see `rnn2vec.rnn.state_dicts.Hints`.

        Raises:
            UsageError: if the shapes fit no cell, a hint is needed or contradicts them, or architectures differ.
            DataError: if a weight is NaN or infinite.
        """
        stack = cls._converted(state_dicts, lambda one: cls.chosen(readings(one, **hints), hints.get("check")), names)
        warn_of(stack.assumed)
        return stack

    @classmethod
    def chosen(cls, options: Sequence[Converted], check: tuple[Any, Any] | None) -> Converted:
        """Return the one of several readings of an RNN that reproduces the caller's samples.

        Raises:
            UsageError: if none does, or several do that are different functions.
        """
        if check is None:
            return options[0]
        return options[agreeing([cls.of_one(one) for one in options], *check)]._replace(assumed=())

    @classmethod
    def of_one(cls, converted: Converted, name: str = "RNN 0") -> RNNStack:
        """Return the stack of the one RNN that a converter read.

        Raises:
            DataError: if a weight is NaN or infinite.
        """
        return cls._converted([converted], lambda one: one, [name])

    @classmethod
    def _converted(cls, rnns: Sequence[Any], convert_one: Callable[[Any], Converted], names: Sequence[str]) -> RNNStack:
        parts: list[Converted] = []
        for number, rnn in enumerate(rnns):
            try:
                parts.append(convert_one(rnn))
            except UsageError as error:
                raise UsageError(f"{name_of(names, number)}: {error.problem}", remedy=error.remedy) from error
        if not parts:
            raise UsageError("no RNN was given", remedy="give at least one.")
        spec = parts[0].spec
        for number, one in enumerate(parts):
            if one.spec != spec:
                raise UsageError(
                    f"{name_of(names, 0)} is {spec}, but {name_of(names, number)} is {one.spec}",
                    remedy="a stack holds RNNs of one architecture: make one stack for each.",
                )
        weights = {name: torch.stack([one.weights[name] for one in parts]) for name in spec.parameter_shapes}
        stack = cls(spec, weights, assumed=tuple(dict.fromkeys(text for one in parts for text in one.assumed)))
        stack.require_finite(names)
        return stack

    @classmethod
    def concatenate(cls, stacks: Sequence[RNNStack]) -> RNNStack:
        """Concatenate stacks, in order.

        Raises:
            UsageError: if there are none, or they differ in architecture.
        """
        specs = {stack.spec for stack in stacks}
        if len(specs) != 1:
            raise UsageError(
                f"stacks of {len(specs)} architectures: {', '.join(map(str, specs))}", remedy="give stacks of one."
            )
        spec = specs.pop()
        return cls(spec, {name: torch.cat([stack.weights[name] for stack in stacks]) for name in spec.parameter_shapes})

    def flatten(self) -> FlatWeights:
        """All weights as one matrix `(N, P)` in PyTorch's flat order."""
        return torch.cat([weight.flatten(1) for weight in self.weights.values()], dim=1)

    def select(self, indices: Int[Tensor, " M"] | Sequence[int] | slice) -> RNNStack:
        """Return the stack of the chosen RNNs, in the given order."""
        chosen = indices if isinstance(indices, (slice, Tensor)) else torch.as_tensor(indices, dtype=torch.long)
        return RNNStack(self.spec, {name: weight[chosen] for name, weight in self.weights.items()})

    def to_modules(self) -> list[nn.Module]:
        """N modules with submodules `rnn` and `readout`, each mapping `(B, T, I)` to `((B, T, O), state)`."""
        return [
            convert.to_module(self.spec, {name: weight[n] for name, weight in self.weights.items()})
            for n in range(len(self))
        ]

    def to(self, *args: Any, **kwargs: Any) -> RNNStack:
        """Move the stack to another device or float type, as `torch.Tensor.to`."""
        return RNNStack(self.spec, {name: weight.to(*args, **kwargs) for name, weight in self.weights.items()})

    def permute_neurons(self, layer: int, permutation: Int[Tensor, " H"] | Int[Tensor, "N H"]) -> RNNStack:
        """Permute the hidden units of one layer, which changes no function: new unit j is old unit permutation[j].

        See `rnn2vec.rnn.symmetry.permute_neurons`.
        """
        return RNNStack(self.spec, symmetry.permute_neurons(self.spec, self.weights, layer, permutation))

    def require_finite(self, names: Sequence[str] = ()) -> None:
        """Check that no weight is NaN or infinite.

        Args:
            names: names of the RNNs in errors.

        Raises:
            DataError: names the first RNN and weight that is.
        """
        sums = torch.stack([weight.sum() for weight in self.weights.values()])
        if torch.isfinite(sums).all():  # which one bad number spoils; if they merely overflow, we look closer
            return
        for name, weight in self.weights.items():
            bad = ~torch.isfinite(weight).flatten(1).all(dim=1)
            if bad.any():
                rnn = int(bad.nonzero()[0])
                raise DataError(
                    f"{name_of(names, rnn)} has NaN or infinite numbers in {name}",
                    remedy="leave it out or take an earlier checkpoint: it computes nothing.",
                )

    # -- running -----------------------------------------------------------------------------------

    def initial_state(self, num_sequences: int) -> State:
        """Zeros, for `num_sequences` sequences per RNN."""
        reference = self.weights["readout.bias"]
        zeros = reference.new_zeros(len(self), num_sequences, self.spec.hidden_size)
        layer_state = (zeros,) * self.spec.cell_type.num_state_vectors
        return (layer_state,) * self.spec.num_layers

    def step(self, inputs: InputStep, state: State) -> tuple[OutputStep, State]:
        """Step every sequence of every RNN: `(N, B, I)` and a state to `(N, B, O)` and the next state."""
        cell = self.spec.cell_type
        new_state: list[LayerState] = []
        below: Tensor = inputs
        for layer, layer_state in zip(range(self.spec.num_layers), state, strict=True):
            weights = self._layer(layer)
            new_state.append(cell.step(weights, cell.input_part(weights, below), layer_state))
            below = new_state[-1][0]
        return self._readout(below), tuple(new_state)

    def __call__(self, inputs: InputSequences, state: State | None = None) -> tuple[OutputSequences, State]:
        """Run every RNN on its own sequences.

        Args:
            inputs: `(N, B, T, I)`: B sequences of T steps for each RNN.
            state: where to start; zeros by default.

        Returns:
            Outputs `(N, B, T, O)` and the state after the last step.

        Raises:
            UsageError: `inputs` is for another number of RNNs or input size, or has no steps.
        """
        n, b, t, features = inputs.shape
        if (n, features) != (len(self), self.spec.input_size) or not t:
            raise UsageError(
                f"inputs have shape {tuple(inputs.shape)}, expected ({len(self)}, B, T, {self.spec.input_size})",
                remedy="give B sequences of at least one step for every RNN of the stack.",
            )
        cell = self.spec.cell_type
        state = self.initial_state(b) if state is None else state
        new_state: list[LayerState] = []
        below = inputs.transpose(1, 2)  # time before sequences: a step is then a contiguous slice (N, T, B, I)
        for layer, first_state in zip(range(self.spec.num_layers), state, strict=True):
            layer_state, weights = first_state, self._layer(layer)
            input_parts = cell.input_part(weights, below.flatten(1, 2)).unflatten(1, (t, b)).unbind(1)
            outputs: list[Tensor] = []
            for input_part in input_parts:
                layer_state = cell.step(weights, input_part, layer_state)
                outputs.append(layer_state[0])
            new_state.append(layer_state)
            below = torch.stack(outputs, dim=1)
        return self._readout(below.flatten(1, 2)).unflatten(1, (t, b)).transpose(1, 2), tuple(new_state)

    def _layer(self, layer: int) -> LayerWeights:
        """Return the weights of one layer by the names of its cell."""
        return {name: self.weights[parameter_name(name, layer)] for name in self.spec.cell_type.parameters}

    def _readout(self, hidden: Float[Tensor, "N R H"]) -> Float[Tensor, "N R O"]:
        return affine(self.weights["readout.weight"], hidden, self.weights["readout.bias"])

    def __len__(self) -> int:
        return self.weights["readout.bias"].shape[0]

    def __getitem__(self, chosen: int | slice | Sequence[int] | Sequence[bool] | Tensor) -> RNNStack:
        """Return a stack of some RNNs: of one for a number, else of a slice, of numbers or of a mask.

        Raises:
            IndexError: if a number is out of range.
        """
        return self.select(torch.from_numpy(np.arange(len(self))[slice_of(chosen, len(self))].copy()))

    def __iter__(self) -> Iterator[RNNStack]:
        return (self.select(slice(number, number + 1)) for number in range(len(self)))

    def __repr__(self) -> str:
        return f"RNNStack({len(self)} RNNs: {self.spec})"
