"""`rnn2vec index outliers | duplicates`, of an index or straight of checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec.cli.checkpoints import tell
from rnn2vec.cli.model import ModelVerb
from rnn2vec.cli.table import chosen_columns, table
from rnn2vec.cli.terminal import Terminal

if TYPE_CHECKING:
    from rnn2vec.index.index import Index
    from rnn2vec.index.outliers import Outliers as Judged
    from rnn2vec.inspection.twins import Verdict

_SHOWN = 20
_RANKED = 100


@dataclass(frozen=True, kw_only=True)
class MembersVerb(ModelVerb):
    """A verb about the RNNs of an index, or of a folder of checkpoints."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """An index; or checkpoint files, folders of such, or zoos, which are then embedded first."""

    @contextlib.contextmanager
    def opened(self, terminal: Terminal) -> Generator[Index]:
        """Open the index, or build one from checkpoints that lasts as long as the verb; what is unreadable is named."""
        from rnn2vec.embedding.many_files import embed_files
        from rnn2vec.embedding.reading import checkpoint_files
        from rnn2vec.index import store
        from rnn2vec.index.index import Index

        if any((path / store.MANIFEST).is_file() for path in self.paths):
            if len(self.paths) > 1 or self.model or self.inputs:
                raise UsageError("an index beside other paths, --model or --inputs", remedy="give the index alone.")
            yield Index.open(self.paths[0])
            return
        files = checkpoint_files(self.paths)
        rnn2vec = self.rnn2vec(files)
        with tempfile.TemporaryDirectory() as temporary:
            index = Index.build(Path(temporary) / "index", rnn2vec)
            with terminal.progress("embedding") as progress:
                for part in embed_files(rnn2vec, files, progress=progress, **self.hints):
                    tell(part.left_out)
                    if part.names:
                        index.add(part.names, part.vectors, part.properties)
            yield index


@dataclass(frozen=True, kw_only=True)
class Outliers(MembersVerb):
    """Rank RNNs by how unusual they are, and flag the most unusual at a stated rate of false alarms."""

    rate: float = 0.05
    """Share of ordinary RNNs that may be flagged, at most."""
    ordinary: tuple[str, ...] = ()
    """Conditions met by RNNs that are known to be ordinary, such as "split = train". By default each RNN is judged by
    all others, and the share RATE is flagged in any case."""
    columns: tuple[str, ...] = ()
    """Properties to show; by default all that a shown RNN has."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Rank all RNNs, and flag those that are too unusual for the rate."""
        with self.opened(terminal) as index:
            outliers = index.outliers(ordinary=self.ordinary, seed=self.seed)
            flagged = set(outliers.flagged(self.rate).tolist())
            rows = outliers.ranking[: max(_RANKED, len(flagged))]
            ranking = [_ranked(index, outliers, int(row), is_flagged=int(row) in flagged) for row in rows]
            number = len(index)
        terminal.say(outliers.describe(self.rate))
        terminal.say("\nmost unusual first; the distance is to the tenth-nearest RNN, beside the median of all RNNs'")
        terminal.say(_ranking_table(ranking[: max(_SHOWN, len(flagged))], self.columns))
        return {"rate": self.rate, "rnns": number, "typical_distance": outliers.typical, "ranking": ranking}


def _ranked(index: Index, outliers: Judged, row: int, *, is_flagged: bool) -> dict[str, Any]:
    """Describe one RNN of the ranking as JSON-ready values."""
    distance = float(outliers.distances[row])
    times = distance / outliers.typical if outliers.typical else None
    shown = dataclasses.asdict(index.neighbour(row, distance))
    return {**shown, "times_typical": times, "p": float(outliers.p_values[row]), "is_flagged": is_flagged}


def _ranking_table(ranking: list[dict[str, Any]], columns: Sequence[str]) -> str:
    shown = chosen_columns([one["properties"] for one in ranking], columns)
    rows = [
        [
            one["rnn"],
            "FLAGGED" if one["is_flagged"] else "",
            one["distance"],
            None if one["times_typical"] is None else f"{one['times_typical']:.1f}",
            f"{one['p']:.3g}",
            *(one["properties"][name] for name in shown),
        ]
        for one in ranking
    ]
    return table(["RNN", "", "distance", "x median", "p", *shown], rows)


@dataclass(frozen=True, kw_only=True)
class Duplicates(MembersVerb):
    """Groups of RNNs that do the same, with a verdict on each: identical, symmetric, same function, or near."""

    within: float | None = None
    """Distance that links two RNNs; by default a twentieth of the median distance between RNNs."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Find and list the groups, the largest first."""
        with self.opened(terminal) as index:
            groups = index.duplicates(self.within)
            judged = self._judged(index, groups[:_SHOWN])
        terminal.say(f"{len(groups)} groups of near-duplicates, {sum(map(len, groups))} RNNs in them")
        for group in groups[:_SHOWN]:
            terminal.say(f"\n{group[0]}")
            for name in group[1:_SHOWN]:
                verdict = judged[name].describe() if name in judged else "no verdict: a checkpoint cannot be read again"
                terminal.say(f"    {name}  {verdict}")
            if len(group) > _SHOWN:
                terminal.say(f"    and {len(group) - _SHOWN} more")
        return {"groups": groups, "verdicts": {name: verdict.to_dict() for name, verdict in judged.items()}}

    def _judged(self, index: Index, groups: list[list[str]]) -> dict[str, Verdict]:
        """Compare the RNNs of each group with its first, where their checkpoints can be read."""
        from rnn2vec.embedding.untrained import probes_for
        from rnn2vec.inspection.twins import compare, read_member

        if not index.has_model:
            return {}
        judged: dict[str, Verdict] = {}
        encoder = index.model.encoder
        for group in groups:
            try:
                first = read_member(group[0], **self.hints)
            except (Rnn2VecError, OSError):
                continue
            inputs = probes_for(encoder, first.spec)
            for name in group[1:_SHOWN]:
                with contextlib.suppress(Rnn2VecError, OSError):
                    judged[name] = compare(first, read_member(name, **self.hints), inputs, encoder.interface)
        return judged
