"""`rnn2vec demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb


@dataclass(frozen=True, kw_only=True)
class Demo(Verb):
    """See what it does in a minute, offline: a model and a sample zoo of the package, a map, a card, a comparison."""

    model: str = "formal-languages"
    """Name of a model in the package, or folder of a packed model."""
    zoo: Path | None = None
    """Zoo to show; by default the sample in the package."""
    out: Path = Path("demo.html")
    """HTML file to write."""
    seed: int = 0
    """Seed of everything drawn at random."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Embed, describe, compare; show it in words and write the page."""
        from rnn2vec._errors import UsageError
        from rnn2vec.embedding.rnn2vec import Rnn2Vec
        from rnn2vec.index.packing import reference_of
        from rnn2vec.inspection.demonstration import demonstrate
        from rnn2vec.inspection.words import answer_text, inputs_text
        from rnn2vec.report.demo_page import write_demo
        from rnn2vec.zoo.store import Zoo

        rnn2vec = Rnn2Vec.from_pretrained(self.model)
        index = reference_of(self.model)
        if index is None:
            raise UsageError(f"{self.model} has no RNNs to compare with", remedy="pack it first: `rnn2vec pack`.")
        zoo = Zoo.sample(self.model) if self.zoo is None else Zoo.open(self.zoo)
        with terminal.progress("demo") as progress:
            demo = demonstrate(rnn2vec, zoo, index, seed=self.seed, progress=progress)
        interface = rnn2vec.encoder.interface
        write_demo(self.out, demo, interface, reference_size=len(index), model=self.model, command="rnn2vec demo")
        terminal.say(f"{len(zoo)} RNNs as vectors of {demo.vectors.shape[1]} numbers in {demo.seconds:.1f} s\n")
        terminal.say(f"one of them, which does {demo.example.task}:\n{demo.card.render(num_sequences=1)}\n")
        one, other = demo.others
        terminal.say(f"two of them: A does {one.task}, B does {other.task}")
        if demo.disagreement is not None:
            answers = [answer_text(answer, interface) for answer in demo.disagreement.answers]
            read = inputs_text(demo.disagreement.inputs, interface)
            terminal.say(f"  after {read}\n  A answers {answers[0]}\n  B answers {answers[1]}")
        terminal.say(f"\npage: {self.out}")
        return {"page": str(self.out), "rnns": len(zoo), "seconds": demo.seconds, "card": demo.card.to_dict()}
