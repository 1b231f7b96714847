"""`rnn2vec diff`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec.cli.checkpoints import CheckpointVerb
from rnn2vec.cli.terminal import Terminal
from rnn2vec.rnn.interface import Interface, Kind

if TYPE_CHECKING:
    from torch import Tensor

    from rnn2vec.inspection.difference import Disagreement, NaturalDifference
    from rnn2vec.rnn.stack import RNNStack

_SEQUENCES = 200


@dataclass(frozen=True, kw_only=True)
class Diff(CheckpointVerb):
    """Compare two RNNs: a verdict, the shortest input on which they disagree, and how often they disagree."""

    one: tyro.conf.Positional[Path]
    """Checkpoint file."""
    other: tyro.conf.Positional[Path]
    """Checkpoint file of an RNN with the same inputs and outputs."""
    model: str | None = None
    """Model that knows kinds, range and names of inputs and outputs."""
    input_kind: Kind = "continuous"
    """Kind of the inputs, without a model and without --inputs."""
    output_kind: Kind | None = None
    """Kind of the outputs, without a model; by default categorical where inputs are tokens and there are as many
    outputs, else continuous."""
    inputs: Path | None = None
    """Natural inputs: a .npy or .parquet file. RNNs that generate their own inputs need none."""
    margin: float = 0.5
    """Distance of answers that counts as a disagreement: total variation of tokens, or a difference in spreads."""
    max_length: int = 32
    """Longest input that is tried."""
    seed: int = 0
    """Seed of natural inputs and of the starts of gradient ascent."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Compare, search, measure, and show."""
        from rnn2vec.inspection import difference, twins
        from rnn2vec.rnn.reading.files import load_rnn

        one, other = (load_rnn(path, **self.hints) for path in (self.one, self.other))
        interface, probes = self._interface(one, other)
        natural_inputs = self._natural(one, other, interface)
        asked = probes if natural_inputs is None else natural_inputs
        verdict = twins.compare_and_search(
            one, other, asked, interface, margin=self.margin, max_length=self.max_length, seed=self.seed
        )
        is_same_file = self.one.read_bytes() == self.other.read_bytes()
        terminal.say(f"A = {self.one} ({one.spec})\nB = {self.other} ({other.spec})\n")
        terminal.say(verdict.describe() + ("; the files are the same bytes" if is_same_file else ""))
        result = {"verdict": verdict.to_dict(), "same_bytes": is_same_file}
        if verdict.kind in {"identical", "symmetric"}:
            return {**result, "shortest": None, "natural": None}
        terminal.say(f"\n{_shown(verdict.shortest, interface, self.margin, self.max_length)}")
        natural = None
        if natural_inputs is None:
            terminal.say("\nhow often they disagree on natural inputs: give such with --inputs")
        else:
            natural = difference.on_natural(one, other, natural_inputs, interface, margin=self.margin)
            terminal.say(f"\n{_described(natural)}")
        return {**result, "shortest": _found_dict(verdict.shortest, interface), "natural": _natural_dict(natural)}

    def _interface(self, one: RNNStack, other: RNNStack) -> tuple[Interface, Tensor]:
        """Return kinds, range and unit of inputs and outputs, and probes to compare on."""
        from rnn2vec.embedding.rnn2vec import Rnn2Vec
        from rnn2vec.embedding.untrained import probes_for, untrained
        from rnn2vec.inspection.difference import require_comparable

        if self.model is not None:
            encoder = Rnn2Vec.from_pretrained(self.model).encoder
        else:
            same_tokens = self.input_kind == "categorical" and one.spec.input_size == one.spec.output_size
            kind = self.output_kind or ("categorical" if same_tokens else "continuous")
            interface = Interface(input_kind=self.input_kind, output_kind=kind)
            require_comparable(one, other, interface, self.margin)
            encoder = untrained(
                [one, other], self.inputs, output_kind=self.output_kind, interface=interface, seed=self.seed
            ).encoder
        require_comparable(one, other, encoder.interface, self.margin)
        return encoder.interface, probes_for(encoder, one.spec)

    def _natural(self, one: RNNStack, other: RNNStack, interface: Interface) -> Tensor | None:
        """Return the given inputs, or as many that either RNN generates."""
        import torch

        from rnn2vec.emulation.sequences import Sequences
        from rnn2vec.inspection import difference

        if self.inputs is not None:
            return Sequences.read(self.inputs, one.spec.input_size, 1).longest_group()
        if not difference.generates(one, interface):
            return None
        made = [
            difference.generated(rnn, interface, number=_SEQUENCES // 2, length=self.max_length, seed=self.seed)[0]
            for rnn in (one, other)
        ]
        return torch.cat(made)


def _shown(found: Disagreement | None, interface: Interface, margin: float, max_length: int) -> str:
    from rnn2vec.inspection.words import answer_text, inputs_text

    if found is None:
        return f"no input of up to {max_length} steps was found on which their answers are more than {margin:g} apart"
    kind = "the shortest input" if found.is_shortest else "the shortest input that was found"
    answers = [answer_text(answer, interface) for answer in found.answers]
    lines = [
        f"{kind} on which they disagree ({len(found.inputs)} steps, distance {found.distance:.2f}):",
        f"    {inputs_text(found.inputs, interface)}",
        *(f"{name} answers  {answer}" for name, answer in zip("AB", answers, strict=True)),
    ]
    return "\n".join(lines)


def _described(natural: NaturalDifference) -> str:
    often = f"on {natural.num_sequences} natural inputs they disagree somewhere in {natural.share:.0%}"
    lines = [f"{often}, and answers are {natural.mean_distance:.3f} apart on average"]
    if natural.share:
        shares = natural.by_step.tolist()
        most = max(range(len(shares)), key=lambda step: shares[step])
        lines.append(f"most often at step {most + 1} ({shares[most]:.0%}); share by step, in tenths:")
        lines.append("    " + "".join(str(min(9, round(10 * share))) if share else "." for share in shares))
    return "\n".join(lines)


def _found_dict(found: Disagreement | None, interface: Interface) -> dict[str, Any] | None:
    from rnn2vec.inspection.words import inputs_text

    if found is None:
        return None
    return {
        "inputs": found.inputs.tolist(),
        "text": inputs_text(found.inputs, interface),
        "answers": [answer.tolist() for answer in found.answers],
        "distance": found.distance,
        "is_shortest": found.is_shortest,
    }


def _natural_dict(natural: NaturalDifference | None) -> dict[str, Any] | None:
    if natural is None:
        return None
    return {
        "num_sequences": natural.num_sequences,
        "share": natural.share,
        "by_step": natural.by_step.tolist(),
        "mean_distance": natural.mean_distance,
    }
