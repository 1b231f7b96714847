"""What was read of a network, held to what the network answers.

Converters go by weights; they do not see what else is done with them: a nonlinearity before the readout, a residual
connection, layers in another order. So both are run on a few random sequences and must agree, to 1e-5 of the largest
answer. To trace the module (`torch.fx`) and read its operations was the alternative; it fails on loops and on state.

How a module wants to be called is not known either: with sequences `(B, T, I)` or tokens `(B, T)`, with `None` for a
state or without, or step by step. Whether its first axis is time is told by its answers. One of these must run, and one
agree: at every step or at the last, as logits or after a softmax. What several heads answer may lie beside each other.
A module without a `forward` only holds its parts, and is taken at its weights.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import RNNSpec

TOLERANCE = 1e-5
"""How far answers may be apart, in largest answers."""
_SEQUENCES, _STEPS = 2, 4

Answers = Float[Tensor, "rows columns O"]
_Call = Callable[[nn.Module, Tensor], Any]


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


def require_same_answers(modules: Sequence[nn.Module], stack: Runnable) -> None:
    """Run modules, in evaluation mode, and the RNNs that were read of them.

    Args:
        modules: N of them, left as they are but for what running them changes.
        stack: N RNNs.

    Raises:
        UsageError: one answers otherwise, or cannot be run.
    """
    trials = [(given, *answers(stack, vectors)) for given, vectors in _inputs(stack)]
    for number, module in enumerate(modules):
        _require_same(module, [(given, rows[number], columns[number]) for given, rows, columns in trials], number)


def _inputs(stack: Runnable) -> Iterator[tuple[Tensor, Tensor]]:
    """What a module may want, and what that is to its RNN: numbers, or tokens."""
    generator, size = torch.Generator().manual_seed(0), stack.spec.input_size
    like = stack.weights["readout.bias"]
    numbers = torch.randn(_SEQUENCES, _STEPS, size, generator=generator).to(like)
    yield numbers, numbers
    tokens = torch.randint(size, (_SEQUENCES, _STEPS), generator=generator).to(like.device)
    yield tokens, nn.functional.one_hot(tokens, size).to(like)


def answers(stack: Runnable, inputs: Float[Tensor, "rows columns I"]) -> tuple[Tensor, Tensor]:
    """What N RNNs answer if rows of the inputs are sequences, and if columns are: twice `(N, rows, columns, O)`."""
    each = inputs.expand(len(stack), -1, -1, -1)
    return stack(each)[0], stack(each.transpose(1, 2))[0].transpose(1, 2)


def _require_same(module: nn.Module, trials: Sequence[tuple[Tensor, Answers, Answers]], number: int) -> None:
    kind, problem, found = type(module).__name__, "", list[float]()
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=False), _evaluating(module):  # cuDNN rounds to TF32
        for (given, rows, columns), call in itertools.product(trials, (_plain, _with_state, _stepwise)):
            try:
                answers = list(_tensors(call(module, given)))
            except Exception as error:  # noqa: BLE001 (it is somebody's code)
                if isinstance(error, NotImplementedError) and "forward" in str(error):
                    return
                problem = problem or f"{type(error).__name__}: {str(error).strip()[:200]}"
                continue
            found.append(min((distance(answer, rows, columns) for answer in answers), default=math.inf))
            if found[-1] <= max(TOLERANCE, 16 * torch.finfo(rows.dtype).eps):
                return
    if not found:
        raise UsageError(
            f"RNN {number}: {kind} could not be run on inputs of shape {tuple(trials[0][0].shape)} to see whether it "
            f"answers as its weights say ({problem})",
            remedy="give what maps (B, T, inputs) to (B, T, outputs); or verify=False, to take it at its weights.",
        )
    apart = f"{min(found):.1g} of the largest answer apart" if min(found) < math.inf else "in other numbers of outputs"
    raise UsageError(
        f"RNN {number}: {kind} answers otherwise than its recurrent module and readout alone ({apart})",
        remedy="give what does nothing else: no other function before, between or after them, and a first state of "
        "zeros; or verify=False, to take it at its weights.",
    )


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Generator[None]:
    """While it lasts, the module and its parts are in evaluation mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
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
    """All tensors in what a module returned."""
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping):
        yield from _tensors(tuple(answer.values()))
    elif isinstance(answer, Sequence) and not isinstance(answer, str):
        for part in answer:
            yield from _tensors(part)


def distance(answer: Tensor, rows: Answers, columns: Answers) -> float:
    """How far an answer is from that of an RNN, in largest answers; infinite where it has another number of entries.

    Args:
        answer: of every step or the last one; logits, or what a softmax makes of them.
        rows: what the RNN answers if the first axis of the inputs counts sequences.
        columns: the same if it counts steps.
    """
    logits = (rows, columns, rows[:, -1], columns[-1])
    forms = [*logits]
    if rows.shape[-1] > 1:
        forms += [form for one in logits for form in (one.softmax(-1), one.log_softmax(-1))]
    apart = [_apart(answer.reshape(form.shape), form) for form in forms if form.numel() == answer.numel()]
    return min(apart, default=math.inf)


def _apart(answer: Tensor, expected: Tensor) -> float:
    gap = (answer.double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-30)
    return float(gap.nan_to_num(math.inf))
