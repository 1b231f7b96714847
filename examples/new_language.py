"""Search 16 numbers for an RNN that generates a language which no RNN of the zoo was trained on.

    python examples/new_language.py 1 -2 0           the language a^n b^(n+1) c^(n-2) d^n
    python examples/new_language.py --all --out FILE  all languages of the sample's splits, beside training from scratch

A vector is decoded into an RNN (`Rnn2Vec.decode`), which reads the strings of the language; the loss is the
cross-entropy of its predictions. Gradients flow back to the vector alone: 16 numbers instead of 13,766 weights. The
search begins at the best of 200 vectors of RNNs that the model comes with.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rnn2vec import Rnn2Vec, RNNSpec, RNNStack
from rnn2vec._provenance import processor, provenance
from rnn2vec._seeding import numpy_generator, torch_generator
from rnn2vec.index.packing import reference_of
from rnn2vec.tasks.base import Task, one_hot
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.rollouts import roll_out

STARTS = 200
EPISODES = 1000
GOAL = 0.9
"""Share of generated strings that must be in the language."""


@dataclass(frozen=True)
class Outcome:
    """Result for one language."""

    acceptance: float
    """Share of generated strings that are in the language."""
    evaluations: int
    """RNNs that were scored, or updates that were made."""
    seconds: float
    """Processor seconds."""


def losses(rnns: RNNStack, family: FormalLanguages, task: Task) -> Tensor:
    """Return the cross-entropy of each RNN on the strings of a language, `(N,)`."""
    examples = family.examples(task)
    inputs = one_hot(torch.from_numpy(examples.inputs).long(), family.input_size)
    targets = torch.from_numpy(examples.targets).long().expand(len(rnns), -1, -1)
    outputs, _ = rnns(inputs.expand(len(rnns), -1, -1, -1))
    steps = torch.nn.functional.cross_entropy(outputs.movedim(-1, 1), targets, reduction="none")
    return steps.mean(dim=(1, 2))


@torch.no_grad()
def acceptance(rnn: RNNStack, family: FormalLanguages, task: Task) -> float:
    """Return the share of generated strings that are in the language."""
    environment = family.environment([task], EPISODES, [numpy_generator(0, "acceptance")])
    roll_out(rnn, environment)
    return float(environment.performance()[0])


def search(rnn2vec: Rnn2Vec, starts: np.ndarray, family: FormalLanguages, task: Task, evaluations: int) -> Outcome:
    """Search for a vector whose RNN generates the language, in slices, until enough strings are in it."""
    begin = time.process_time()
    with torch.no_grad():
        start = starts[int(losses(rnn2vec.decode(starts), family, task).argmin())]
    used, accepted = len(starts), 0.0
    while used < evaluations and accepted < GOAL:
        found = rnn2vec.search(
            lambda rnns: losses(rnns, family, task), start, method="gradient", evaluations=160, population=4, spread=0.3
        )
        start, used = found.representation, used + found.evaluations
        accepted = max(accepted, acceptance(found.rnn, family, task))
    return Outcome(accepted, used, time.process_time() - begin)


def from_scratch(family: FormalLanguages, task: Task, updates: int) -> Outcome:
    """Train an LSTM of the zoo's size on the strings of the language, until enough strings are in it."""
    begin = time.process_time()
    spec = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)
    flat = torch.rand(1, spec.num_parameters, generator=torch_generator(0, "new RNN"))
    flat = ((2 * flat - 1) / spec.hidden_size**0.5).requires_grad_()
    optimizer = torch.optim.AdamW([flat], lr=1e-2, weight_decay=1e-4)
    accepted = 0.0
    for update in range(1, updates + 1):
        optimizer.zero_grad()
        losses(RNNStack.from_flat(spec, flat), family, task).sum().backward()
        optimizer.step()
        if update % 25 == 0:
            accepted = acceptance(RNNStack.from_flat(spec, flat.detach()), family, task)
            if accepted >= GOAL:
                break
    return Outcome(accepted, update, time.process_time() - begin)


def main() -> None:
    """Search for one language, or for all unseen and OOD ones."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("offsets", type=int, nargs="*", help="offsets of b, c and d")
    parser.add_argument("--all", action="store_true", help="every unseen and every OOD language")
    parser.add_argument("--model", default="formal-languages")
    parser.add_argument("--evaluations", type=int, default=4000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rnn2vec, index = Rnn2Vec.from_pretrained(options.model), reference_of(options.model)
    assert index is not None
    family = FormalLanguages()
    rows = np.array(index.table.column("split").to_pylist()) == "train"
    chosen = np.flatnonzero(rows & (np.array(index.table.column("performance").to_pylist()) > GOAL))
    starts = index.vectors[numpy_generator(0, "starts").permutation(chosen)[:STARTS]]
    torch.set_num_threads(1)
    if not options.all:
        task = tuple(float(offset) for offset in options.offsets)
        outcome = search(rnn2vec, starts, family, task, options.evaluations)
        print(f"{family.describe(task)}: {outcome.acceptance:.0%} of its strings are in the language")
        print(f"{outcome.evaluations} RNNs scored in {outcome.seconds:.1f} s")
        return
    results: dict[str, list[dict[str, object]]] = {}
    for split, languages in family.splits(0).items():
        if split == "train":
            continue
        results[split] = []
        for language in languages:
            task = tuple(float(offset) for offset in language.offsets[1:])
            row = {"language": family.describe(task)}
            row |= {"search": vars(search(rnn2vec, starts, family, task, options.evaluations))}
            row |= {"scratch": vars(from_scratch(family, task, 2000))}
            results[split].append(row)
            print(split, row, flush=True)
        for way in ("search", "scratch"):
            found = [one[way] for one in results[split] if one[way]["acceptance"] >= GOAL]
            print(f"{split}, {way}: {len(found)} of {len(languages)} found")
    if options.out is not None:
        text = {"goal": GOAL, "results": results, "processor": processor(), "provenance": provenance()}
        options.out.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
