"""The paper's claims, each put to the data of a reproduction.

A verdict follows from a rule that was fixed before the numbers: *reproduced* and *not reproduced* when the data answer
the claim, *differs* when its direction holds and its size does not, *not tested* when data are missing or come from
fewer than 3 seeds. A difference between encoders counts when the intervals of both do not overlap; without intervals
(3 or 4 seeds), when every seed of one lies on the same side of every seed of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from rnn2vec.experiments import paper
from rnn2vec.experiments.reproduction.rows import select
from rnn2vec.experiments.statistics import Estimate, estimate

Verdict = Literal["reproduced", "not reproduced", "differs", "not tested"]
Data = Mapping[str, pa.Table]
FL, SM = "formal-languages", "tiled-mnist"
INTERACTIVE, STATIC = "interactive-probing", "noninteractive-probing"
FEWEST_SEEDS = 3
"""Smallest number of seeds for a verdict; with fewer, only numbers are shown."""
MECHANISTIC = tuple(name for name in paper.ENCODERS if name not in {INTERACTIVE, STATIC})


@dataclass(frozen=True)
class Finding:
    """The verdict of the data on a claim."""

    verdict: Verdict
    """The verdict."""
    ours: str
    """Our numbers."""
    note: str = ""
    """Explanation of a difference."""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper."""

    where: str
    """Place of the claim in the paper."""
    text: str
    """The claim."""
    published: str
    """The paper's numbers."""
    test: Callable[[Data], Finding | None]
    """Puts it to the data; None where they are missing."""

    def finding(self, data: Data) -> Finding:
        """Return what the data say."""
        return self.test(data) or Finding("not tested", "")


def _numbers(table: pa.Table | None, column: str, **equal: str | float) -> Estimate | None:
    """Return the mean, with its interval, of a column over the rows with these values; None where there are none."""
    if table is None:
        return None
    found = [value for value in select(table, **equal)[column].to_pylist() if value is not None]
    return estimate(found) if found else None


def _losses(data: Data, family: str, measure: str = "total_variation") -> dict[str, Estimate]:
    found = {
        name: _numbers(data.get("losses"), measure, family=family, encoder=name, variant="default")
        for name in paper.ENCODERS
    }
    return {name: one for name, one in found.items() if one is not None}


def _range(one: Estimate) -> tuple[float, float]:
    return one.interval or (min(one.points), max(one.points))


def is_lower(one: Estimate, other: Estimate) -> bool:
    """Return True if one is lower than another by the rule of this module."""
    return _range(one)[1] < _range(other)[0]


def text_of(one: Estimate) -> str:
    """Return an estimate as text: the mean with its interval, or with the range of its seeds."""
    mean, low, high = (
        f"{number:.4f}" if abs(number) < 100 else f"{number:,.0f}" for number in (one.mean, *_range(one))
    )
    return mean if len(one.points) == 1 else f"{mean} ({low}, {high}{'' if one.interval else '; range'})"


def _verdict(verdict: Verdict, ours: str, *estimates: Estimate, note: str = "") -> Finding:
    """Return the finding, without a verdict where an estimate has too few seeds."""
    seeds = min(len(one.points) for one in estimates)
    if seeds < FEWEST_SEEDS:
        return Finding("not tested", ours, f"{seeds} of the {FEWEST_SEEDS} seeds that a verdict takes")
    return Finding(verdict, ours, note)


def _listed(found: Mapping[str, Estimate]) -> str:
    return "; ".join(f"{name} {text_of(one)}" for name, one in found.items())


def _ordering(data: Data) -> Finding | None:
    found = _losses(data, FL)
    if len(found) < len(paper.ENCODERS):
        return None
    holds = is_lower(found[INTERACTIVE], found[STATIC]) and all(
        is_lower(found[STATIC], found[name]) for name in MECHANISTIC
    )
    return _verdict("reproduced" if holds else "not reproduced", f"TV: {_listed(found)}", *found.values())


def _size(family: str, encoder: str) -> Callable[[Data], Finding | None]:
    """Compare a loss in the paper's measure with its published interval."""

    def test(data: Data) -> Finding | None:
        found = _losses(data, family, "papers_measure").get(encoder)
        if found is None:
            return None
        published = paper.LOSSES[family][encoder]
        low, high = _range(found)
        overlaps = low <= published.high and high >= published.low
        below = high < published.low
        note = "" if overlaps else f"ours is {'lower' if below else 'higher'}: another zoo, recipe and budget"
        return _verdict("reproduced" if overlaps else "differs", text_of(found), found, note=note)

    return test


def _digits(data: Data) -> Finding | None:
    found = _losses(data, SM)
    if len(found) < len(paper.ENCODERS):
        return None
    as_good = all(
        not is_lower(found[name], found[probing]) for name in MECHANISTIC for probing in (INTERACTIVE, STATIC)
    )
    better = all(is_lower(found[probing], found[name]) for name in MECHANISTIC for probing in (INTERACTIVE, STATIC))
    verdict: Verdict = "reproduced" if better else "differs" if as_good else "not reproduced"
    return _verdict(verdict, f"TV: {_listed(found)}", *found.values())


def _floor(data: Data) -> Finding | None:
    """Say where the mechanistic encoders stand beside the task-blind floor; the paper has no such number."""
    found = _losses(data, FL, "papers_measure")
    losses = data.get("losses")
    blind = _numbers(losses, "papers_measure", family=FL, variant="floor")
    if blind is None or not set(MECHANISTIC) <= found.keys():
        return None
    floor = min(blind.points)
    at_floor = [name for name in MECHANISTIC if found[name].mean > 0.9 * floor]
    note = (
        f"task-blind floor {floor:.4f}; at most 10 % below it: {', '.join(at_floor) or 'none'}. The paper's four "
        "mechanistic losses, 0.043 to 0.048, lie at such a floor: those encoders say little about the language"
    )
    shown = {name: found[name] for name in MECHANISTIC}
    return _verdict("differs" if at_floor else "not reproduced", _listed(shown), *shown.values(), note=note)


def _task(family: str, setting: str, prop: str = "task") -> Callable[[Data], dict[str, Estimate]]:
    def read(data: Data) -> dict[str, Estimate]:
        table = data.get("predictions")
        found = {
            name: _numbers(
                table, "value", family=family, setting=setting, encoder=name, property=prop, part="ood", metric="loss"
            )
            for name in paper.ENCODERS
        }
        return {name: one for name, one in found.items() if one is not None}

    return read


def _best_is(read: Callable[[Data], dict[str, Estimate]], *expected: str) -> Callable[[Data], Finding | None]:
    """Test whether these encoders have lower losses than all others."""

    def test(data: Data) -> Finding | None:
        found = read(data)
        if len(found) < len(paper.ENCODERS):
            return None
        others = [name for name in found if name not in expected]
        clearly = all(is_lower(found[name], found[other]) for name in expected for other in others)
        on_average = all(found[name].mean < found[other].mean for name in expected for other in others)
        verdict: Verdict = "reproduced" if clearly else "differs" if on_average else "not reproduced"
        note = "lower on average, but intervals overlap" if on_average and not clearly else ""
        return _verdict(verdict, _listed(found), *found.values(), note=note)

    return test


def _instability(data: Data) -> Finding | None:
    found, floor = (
        _losses(data, FL).get(INTERACTIVE),
        _numbers(data.get("losses"), "total_variation", family=FL, variant="floor"),
    )
    if found is None or floor is None:
        return None
    failed = sum(point > 0.9 * min(floor.points) for point in found.points)
    return _verdict(
        "reproduced" if failed else "not reproduced",
        f"{failed} of {len(found.points)} seeds stay on the plateau",
        found,
        note="" if failed else "the changes of docs/studies.md (first input, self-feeding, forward KL) remove it",
    )


def _emulation(data: Data) -> Finding | None:
    table = data.get("imitation")
    found = {name: _numbers(table, "r_squared", family=FL, encoder=name, split="validation") for name in paper.ENCODERS}
    if any(one is None for one in found.values()):
        return None
    squared = {name: one.mean for name, one in found.items() if one is not None}
    others = max(value for name, value in squared.items() if name != INTERACTIVE)
    verdict: Verdict = "reproduced" if squared[INTERACTIVE] > 0.5 > others else "not reproduced"
    return Finding(verdict, "R², unseen languages: " + "; ".join(f"{n} {v:.2f}" for n, v in squared.items()))


def _sweep(family: str, sweep: str, encoder: str, *, shorter: float, longer: float) -> Callable[[Data], Finding | None]:
    """Test whether the loss is lower at one value of a sweep than at a smaller one."""

    def test(data: Data) -> Finding | None:
        table = data.get("sweeps")
        low, high = (
            _numbers(table, "total_variation", family=family, sweep=sweep, encoder=encoder, value=value)
            for value in (shorter, longer)
        )
        if low is None or high is None:
            return None
        verdict: Verdict = (
            "reproduced" if is_lower(high, low) else "differs" if high.mean < low.mean else "not reproduced"
        )
        ours = f"TV at {shorter:g}: {text_of(low)}; at {longer:g}: {text_of(high)}"
        return _verdict(verdict, ours, low, high)

    return test


def _correlation(family: str, prop: str, part: str) -> Callable[[Data], Finding | None]:
    def test(data: Data) -> Finding | None:
        table = data.get("correlations")
        columns = [_numbers(table, name, family=family, property=prop, part=part) for name in ("r", "low", "high")]
        if any(one is None for one in columns):
            return None
        r, low, high = (one.mean for one in columns if one is not None)
        published = paper.CORRELATIONS[family, prop][part]
        ours = f"r = {r:.3f} ({low:.3f}, {high:.3f})"
        if low <= 0 and published <= high:
            return Finding("not tested", ours, "the interval holds both no correlation and the paper's")
        verdict: Verdict = "not reproduced" if low <= 0 else "reproduced" if low <= published <= high else "differs"
        return Finding(verdict, ours)

    return test


def _invariance(data: Data) -> Finding | None:
    """Test which trained encoders a complete permutation leaves unmoved."""
    table = data.get("invariance")
    if table is None:
        return None
    moved = {
        name: _numbers(table, "largest", state="trained", change="complete", encoder=name) for name in paper.ENCODERS
    }
    if any(one is None for one in moved.values()):
        return None
    unmoved = {name for name, one in moved.items() if one is not None and max(one.points) < 1e-10}
    expected = {INTERACTIVE, STATIC, "dwsnet", "layerwise-statistics"}
    return Finding("reproduced" if unmoved == expected else "not reproduced", "unmoved: " + ", ".join(sorted(unmoved)))


CLAIMS: tuple[Claim, ...] = (
    Claim("Table 2", "On formal languages interactive probing is best, static probing next, every mechanistic encoder "
          "worse.", "0.015; 0.023; 0.043 to 0.048", _ordering),
    Claim("Table 2", "Interactive probing reaches 0.015 on formal languages.", str(paper.LOSSES[FL][INTERACTIVE]),
          _size(FL, INTERACTIVE)),
    Claim("Table 2", "Static probing reaches 0.023 on formal languages.", str(paper.LOSSES[FL][STATIC]),
          _size(FL, STATIC)),
    Claim("Table 2", "On tiled MNIST both probing encoders are alike and better than every mechanistic one.",
          "0.017; 0.024 to 0.067", _digits),
    Claim("Table 2", "Static probing reaches 0.017 on tiled MNIST.", str(paper.LOSSES[SM][STATIC]), _size(SM, STATIC)),
    Claim("Table 2", "Mechanistic encoders learn something about formal languages.", "0.043 to 0.048", _floor),
    Claim("Figure 5", "On formal languages only interactive probing lets emulations perform as their RNNs do.",
          "picture", _emulation),
    Claim("Figure 8", "Frozen interactive probing is best at the task of OOD languages.", "picture",
          _best_is(_task(FL, "frozen"), INTERACTIVE)),
    Claim("Figure 8", "Both frozen probing encoders are best at the rotation of OOD digit readers.", "picture",
          _best_is(_task(SM, "frozen"), INTERACTIVE, STATIC)),
    Claim("Figure 8", "Supervised, static probing is best at the rotation, and interactive probing is not.", "picture",
          _best_is(_task(SM, "supervised"), STATIC)),
    Claim("Section 6.2", "DWSNet predicts accuracy of digit readers most reliably.", "picture",
          _best_is(_task(SM, "frozen", "performance"), "dwsnet")),
    Claim("Section 6.2", "DWSNet predicts the generalization gap most reliably.", "picture",
          _best_is(_task(SM, "frozen", "generalization-gap"), "dwsnet")),
    Claim("Section 7", "Interactive probing fails to train on some seeds.", "interval (0.008, 0.022)", _instability),
    Claim("Figure 11", "More probing sequences lower the loss of interactive probing on formal languages.", "picture",
          _sweep(FL, "number-of-sequences", INTERACTIVE, shorter=1, longer=8)),
    Claim("Figure 12", "More probing sequences lower the loss of static probing on tiled MNIST.", "picture",
          _sweep(SM, "number-of-sequences", STATIC, shorter=1, longer=8)),
    Claim("Figure 13", "22 probes are better than 7 on formal languages.", "picture",
          _sweep(FL, "length-of-sequences", INTERACTIVE, shorter=7, longer=22)),
    Claim("Table 11", "The losses of pre-training and of predicting the task of OOD languages correlate.", "0.987",
          _correlation(FL, "task", "ood")),
    Claim("Table 11", "The losses of pre-training and of predicting the rotation correlate.", "0.864",
          _correlation(SM, "task", "validation")),
    Claim("Figure 17", "Complete permutations move flattened weights and the transformer only.", "picture",
          _invariance),
)  # fmt: skip
"""Claims in the paper's order."""
