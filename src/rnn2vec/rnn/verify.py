"""Verification: what was read of a network must answer as the network does.

Converters go by weights; they do not see what else is done with them: a nonlinearity before the readout, a residual
connection, layers in another order. So the module and the RNN that was read of it are run on the same inputs and must
agree, to 1e-5 of the largest answer. The alternative, to trace the module (`torch.fx`) and read its operations, fails
on loops and on state.

A first, short trial finds out how the module wants to be called (sequences `(B, T, I)` or tokens `(B, T)`, with `None`
for a state or without, or step by step), whether its first axis is time, and in which form it answers (at every step or
the last; logits, or a softmax or sigmoid of them; several heads beside each other). Later trials hold it to that form
where real inputs are: inputs from a thousandth to a thousand times the usual size, constant ones, single features,
every token alone, long and short sequences, and the caller's own inputs. They find clipping, windows of the last k
steps, saturating outputs and branches on the input, as far as such inputs show them. A branch that none of these
inputs enters cannot be excluded, nor a limit that no output reaches.

Where rounding alone moves the answers (large weights and long sequences), the tolerance grows with the distance between
the answers in float32 and in float64, and trials that say nothing are skipped.

A module without a `forward` only holds its parts, and is taken at its weights.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec.rnn.parts import name_of
from rnn2vec.rnn.spec import RNNSpec

TOLERANCE = 1e-5
"""Largest distance between answers that agree, relative to the largest answer."""
_SEQUENCES, _STEPS = 2, 4
_MORE_STEPS, _LONG, _LENGTHS = 12, 300, (1, 2, 7, 33)
_SCALES = tuple(10.0**exponent for exponent in (-3, -2, -1, 0, 0.5, 1, 1.5, 2, 3))
_MOST_TOKENS, _MOST_OF_ONES_OWN = 64, 16
_SHAKE = 1 + 1e-6
_UNKNOWN = 1e-2  # where float32 and float64 are farther apart, an answer says nothing

Answers = Float[Tensor, "rows columns O"]
_Call = Callable[[nn.Module, Tensor], Any]
_Form = str
"""Description of an output: its tensors and their contents."""


@runtime_checkable
class Runnable(Protocol):
    """N RNNs that run as one computation: `RNNStack`, which imports this module."""

    spec: RNNSpec
    """Architecture of all N."""
    weights: dict[str, Tensor]
    """Weights by name, each `(N, ...)`."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def __call__(self, inputs: Float[Tensor, "N B T I"]) -> tuple[Float[Tensor, "N B T O"], Any]:
        """Return the outputs, and the state after the last step."""
        ...

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Return the RNNs in another float type."""
        ...


@dataclass(frozen=True)
class Trial:
    """Sequences, and the answers of what was read of N modules."""

    given: Tensor
    """Numbers `(B, T, I)` or tokens `(B, T)`."""
    expected: Float[Tensor, "N B T O"]
    """Answers."""
    tolerance: Float[Tensor, " N"]
    """Largest distance of answers that agree; infinite where rounding decides the answers."""


@dataclass(frozen=True)
class _Manner:
    """The calling convention of a module, and the form of its outputs."""

    call: _Call
    is_tokens: bool
    is_time_first: bool
    forms: frozenset[_Form]

    def __call__(self, module: nn.Module, given: Tensor) -> Any:
        return self.call(module, given.transpose(0, 1) if self.is_time_first else given)


def require_same_answers(
    modules: Sequence[nn.Module], stack: Runnable, inputs: Tensor | None = None, names: Sequence[str] = ()
) -> None:
    """Run modules, in evaluation mode, and the RNNs that were read of them.

    Args:
        modules: N of them, left as they are but for what running them changes.
        stack: N RNNs.
        inputs: the caller's own, numbers `(S, T, I)` or tokens `(S, T)`.
        names: names of the modules in errors.

    Raises:
        UsageError: if one answers otherwise, or cannot be run.
    """
    first = list(_first_inputs(stack))
    trials: dict[bool, list[Trial]] = {}
    for number, module in enumerate(modules):
        with _running(module), _named(name_of(names, number)):
            manner = _manner(module, first, stack, number)
            if manner is None:
                continue
            if manner.is_tokens not in trials:
                trials[manner.is_tokens] = list(_trials(stack, is_tokens=manner.is_tokens, own=inputs))
            _require_manner(module, manner, trials[manner.is_tokens], number)


def matching(module: nn.Module, options: Sequence[Runnable]) -> int:
    """Return which of several readings of a module answers as it does, in a short trial; the first where none does."""
    with _running(module):
        for number, stack in enumerate(options):
            try:
                _manner(module, list(_first_inputs(stack)), stack, 0)
            except UsageError:
                continue
            return number
    return 0


def agreeing(options: Sequence[Runnable], inputs: Any, outputs: Any) -> int:
    """Return which of several readings reproduces sample outputs.

    Args:
        options: stacks of one RNN.
        inputs: numbers `(B, T, I)` (or `(T, B, I)`), or tokens `(B, T)`.
        outputs: of every step or the last one; logits, or a softmax or sigmoid of them.

    Raises:
        UsageError: if none does, or several do that are different functions.
    """
    given, answer = torch.as_tensor(inputs), torch.as_tensor(outputs)
    apart: list[float] = []
    for stack in options:
        size, like = stack.spec.input_size, stack.weights["readout.bias"]
        vectors = _vectors(given, size)
        if vectors is None or vectors.shape[-1] != size:
            apart.append(math.inf)
        else:
            apart.append(distance(answer, *(one[0] for one in answers(stack, vectors.to(like)))))
    fitting = [number for number, one in enumerate(apart) if one <= TOLERANCE]
    if not fitting:
        nearest = min(apart, default=math.inf)
        how = f"{nearest:.1g} of the largest output apart" if nearest < math.inf else "of other shapes"
        raise UsageError(
            f"none of {len(options)} ways to read it reproduces the outputs of check ({how})",
            remedy="something else is done with these weights: probe the module as a black box, "
            "ModuleBlackBox(module, ...); or correct the samples, inputs (B, T, features) and their outputs.",
        )
    _require_one_function([options[number] for number in fitting])
    return fitting[0]


def _vectors(given: Tensor, size: int) -> Tensor | None:
    """Return samples as an RNN takes them; None where they do not fit."""
    if given.is_floating_point():
        return given if given.dim() == 3 else None
    fits = given.dim() == 2 and given.numel() and int(given.min()) >= 0 and int(given.max()) < size
    return nn.functional.one_hot(given.long(), size) if fits else None


def _require_one_function(options: Sequence[Runnable]) -> None:
    """Refuse samples that several different functions reproduce."""
    _, vectors = next(_first_inputs(options[0]))
    first = options[0](vectors[None])[0]
    for other in options[1:]:
        if other.spec.input_size != options[0].spec.input_size or _apart(other(vectors[None])[0], first) > TOLERANCE:
            raise UsageError(
                "the samples of check fit several ways to read it that are different functions",
                remedy="give longer and more varied samples, or say which with layers=(...) or single=....",
            )


# -- trials ----------------------------------------------------------------------------------------


def _first_inputs(stack: Runnable) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what a module may want, and what that is to its RNN: numbers, or tokens."""
    generator, size = torch.Generator().manual_seed(0), stack.spec.input_size
    like = stack.weights["readout.bias"]
    numbers = torch.randn(_SEQUENCES, _STEPS, size, generator=generator).to(like)
    yield numbers, numbers
    tokens = torch.randint(size, (_SEQUENCES, _STEPS), generator=generator).to(like.device)
    yield tokens, nn.functional.one_hot(tokens, size).to(like)


def _trials(stack: Runnable, *, is_tokens: bool, own: Tensor | None) -> Iterator[Trial]:
    """Yield trials on inputs of many kinds, two sequences at a time."""
    like = stack.weights["readout.bias"]
    precise = stack.to(torch.float64)
    groups = [*(_token_groups if is_tokens else _number_groups)(stack.spec.input_size)]
    if own is not None and own.is_floating_point() != is_tokens and len(own):
        groups.append(own[torch.linspace(0, len(own) - 1, min(len(own), _MOST_OF_ONES_OWN)).long()])
    for group in groups:
        given = group.to(like.device) if is_tokens else group.to(like)
        vectors = nn.functional.one_hot(given, stack.spec.input_size).to(like) if is_tokens else given
        each = vectors.expand(len(stack), -1, -1, -1)
        expected, exact = stack(each)[0], precise(each.double())[0]
        shaken = precise(_SHAKE * each.double())[0]
        for at in range(0, len(given), _SEQUENCES):
            pair = slice(at, at + _SEQUENCES)
            yield Trial(given[pair], expected[:, pair], _tolerance(expected[:, pair], exact[:, pair], shaken[:, pair]))


def _tolerance(expected: Tensor, exact: Tensor, shaken: Tensor) -> Float[Tensor, " N"]:
    """Return a bound on errors of rounding, at least `TOLERANCE`; infinite where such errors are large.

    Args:
        expected: answers.
        exact: answers in float64.
        shaken: answers in float64 to inputs that a module's own rounding may have changed.
    """
    largest = exact.abs().flatten(1).amax(1).clamp_min(1e-30)
    rounding, spread = ((other - exact).abs().flatten(1).amax(1) for other in (expected, shaken))
    error = (10 * rounding + spread) / largest
    least = max(TOLERANCE, 16 * torch.finfo(expected.dtype).eps)
    is_known = torch.isfinite(error) & (error < max(_UNKNOWN, 2 * least))
    return torch.where(is_known, error.clamp_min(least), math.inf)


def _number_groups(size: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, size, generator=generator)

    several = [torch.zeros(_SEQUENCES, _MORE_STEPS, size)]
    for scale in _SCALES:
        one = torch.zeros(_SEQUENCES, _MORE_STEPS, size)
        one[..., int(torch.randint(size, (), generator=generator))] = scale
        constant = torch.full_like(one, scale)
        usual = 8 if 0.5 < scale < 50 else 1
        several += [scale * noise(usual * _SEQUENCES, _MORE_STEPS), one, -one, constant, -constant]
    yield torch.cat(several)
    for length in (*_LENGTHS, _LONG):
        yield torch.cat([noise(_SEQUENCES, length), 3 * noise(_SEQUENCES, length)])


def _token_groups(size: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(1)
    chosen = torch.arange(size) if size <= _MOST_TOKENS else torch.linspace(0, size - 1, _MOST_TOKENS).long()
    yield chosen[:, None].expand(-1, _STEPS)
    for shape in ((2 * _SEQUENCES, _MORE_STEPS), *((_SEQUENCES, length) for length in (*_LENGTHS, _LONG))):
        yield torch.randint(size, shape, generator=generator)


def answers(stack: Runnable, inputs: Float[Tensor, "rows columns I"]) -> tuple[Tensor, Tensor]:
    """Return answers `(N, rows, columns, O)` if rows of the inputs are sequences, and if columns are."""
    each = inputs.expand(len(stack), -1, -1, -1)
    return stack(each)[0], stack(each.transpose(1, 2))[0].transpose(1, 2)


# -- running a module ------------------------------------------------------------------------------


def _manner(module: nn.Module, inputs: Sequence[tuple[Tensor, Tensor]], stack: Runnable, number: int) -> _Manner | None:
    """Return how a module is called and answers; None where it has no `forward`.

    Raises:
        UsageError: if it cannot be run, or answers otherwise in every way.
    """
    kind, problem, nearest = type(module).__name__, "", math.inf
    has_run = False
    for (given, vectors), call in itertools.product(inputs, (_plain, _with_state, _stepwise)):
        try:
            found = list(_tensors(call(module, given)))
        except Exception as error:  # noqa: BLE001 (foreign code)
            if isinstance(error, NotImplementedError) and "forward" in str(error):
                return None
            problem = problem or f"{type(error).__name__}: {str(error).strip()[:200]}"
            continue
        has_run = True
        for is_time_first, each in zip((False, True), answers(stack, vectors), strict=True):
            expected = each[number].transpose(0, 1) if is_time_first else each[number]
            apart = _distances(found, expected, is_time_first=is_time_first)
            least = max(TOLERANCE, 16 * torch.finfo(expected.dtype).eps)
            forms = frozenset(form for form, one in apart.items() if one <= least)
            nearest = min((nearest, *apart.values()))
            if forms:
                return _Manner(call, not given.is_floating_point(), is_time_first, forms)
    if not has_run:
        raise UsageError(
            f"{kind} could not be run on inputs of shape {tuple(inputs[0][0].shape)} to see whether it "
            f"answers as its weights say ({problem})",
            remedy="give what maps (B, T, inputs) to (B, T, outputs); or verify=False, if it only holds its parts.",
        )
    raise _answers_otherwise(module, nearest, inputs[0][0])


def _require_manner(module: nn.Module, manner: _Manner, trials: Sequence[Trial], number: int) -> None:
    """Hold a module to the form of its first answers."""
    forms = manner.forms
    for trial in trials:
        tolerance = float(trial.tolerance[number])
        if tolerance == math.inf:
            continue
        try:
            found = list(_tensors(manner(module, trial.given)))
        except Exception:  # noqa: BLE001, S112 (foreign code, and perhaps of one length only)
            continue
        apart = _distances(found, trial.expected[number], is_time_first=manner.is_time_first)
        still = frozenset(form for form in forms if apart.get(form, math.inf) <= tolerance)
        if not still:
            raise _answers_otherwise(module, min(apart.get(form, math.inf) for form in forms), trial.given)
        forms = still


def _answers_otherwise(module: nn.Module, apart: float, given: Tensor) -> UsageError:
    how = f"{apart:.1g} of the largest answer apart" if apart < math.inf else "in other numbers of outputs"
    where = f"{given.shape[1]} steps"
    if given.is_floating_point():
        where += f", inputs up to {float(given.abs().max()):.3g}"
    return UsageError(
        f"{type(module).__name__} answers otherwise than its recurrent module and readout alone ({how}, at {where})",
        remedy="give a module without other functions before, between or after them, and with a first state of "
        "zeros; or probe it as it is, as a black box: ModuleBlackBox(module, ...).",
    )


@contextlib.contextmanager
def _named(name: str) -> Generator[None]:
    """Put the name of a module before its errors."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{name}: {error.problem}", remedy=error.remedy) from error


@contextlib.contextmanager
def _running(module: nn.Module) -> Generator[None]:
    """Put the module and its parts in evaluation mode, without gradients; cuDNN is off, since it rounds to TF32."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def _plain(module: nn.Module, inputs: Tensor) -> Any:
    return module(inputs)


def _with_state(module: nn.Module, inputs: Tensor) -> Any:
    return module(inputs, None)


def _stepwise(module: nn.Module, inputs: Tensor) -> Any:
    state, outputs = None, []
    for step in inputs.unbind(1):
        output, state = module(step, state)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def _tensors(answer: Any) -> Iterator[Tensor]:
    """Yield all tensors in what a module returned."""
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping):
        yield from _tensors(tuple(answer.values()))
    elif isinstance(answer, Sequence) and not isinstance(answer, str):
        for part in answer:
            yield from _tensors(part)


# -- comparing -------------------------------------------------------------------------------------


def distance(answer: Tensor, rows: Answers, columns: Answers) -> float:
    """Return how far an answer is from that of an RNN, relative to the largest answer; infinite for other shapes.

    Args:
        answer: of every step or the last one; logits, or a softmax or sigmoid of them.
        rows: the RNN's answer if the first axis of the inputs counts sequences.
        columns: the RNN's answer if it counts steps.
    """
    apart = {**_distances([answer], rows, is_time_first=False)}
    other = _distances([answer], columns.transpose(0, 1), is_time_first=True)
    return min((*apart.values(), *other.values()), default=math.inf)


def _distances(found: Sequence[Tensor], expected: Answers, *, is_time_first: bool) -> dict[_Form, float]:
    """Return the distance of each tensor, and of tensors beside each other, from each form of the expected answer.

    Args:
        found: tensors that a module returned.
        expected: `(B, T, O)`.
        is_time_first: whether answers are `(T, B, O)`.
    """
    every = expected.transpose(0, 1) if is_time_first else expected
    forms = {"every": every, "last": expected[:, -1]}
    linked = {f"{name} {link}": one for name, form in forms.items() for link, one in _links(form)}
    apart: dict[_Form, float] = {}
    for first, last in itertools.combinations(range(len(found) + 1), 2):
        beside = found[first:last]
        if len(beside) > 1 and len({one.shape[:-1] for one in beside}) > 1:
            continue
        answer = beside[0] if len(beside) == 1 else torch.cat([*beside], dim=-1)
        for name, form in linked.items():
            if answer.numel() == form.numel() and (len(beside) == 1 or answer.shape == form.shape):
                apart[f"{first}-{last} {name}"] = _apart(answer.reshape(form.shape), form)
    return apart


def _links(logits: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "logits", logits
    yield "sigmoid", logits.sigmoid()
    if logits.shape[-1] > 1:
        yield "softmax", logits.softmax(-1)
        yield "log_softmax", logits.log_softmax(-1)


def _apart(answer: Tensor, expected: Tensor) -> float:
    gap = (answer.double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-30)
    return float(gap.nan_to_num(math.inf))
