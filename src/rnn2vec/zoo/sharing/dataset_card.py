"""The README of a zoo on a dataset hub: a description for readers, and front matter for the hub's search."""

from __future__ import annotations

import json
from typing import Any

from rnn2vec.zoo.origin import made_to_dict
from rnn2vec.zoo.sharing.card import summarize
from rnn2vec.zoo.store import Zoo

_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_CELLS = {"lstm": "LSTMs", "gru": "GRUs", "rnn_tanh": "tanh RNNs", "rnn_relu": "ReLU RNNs"}


def dataset_card(zoo: Zoo, *, name: str | None = None, license: str | None = None) -> str:  # noqa: A002
    """Write the README of a zoo, in Markdown with YAML front matter for the Hugging Face hub.

    The front matter declares the properties as the dataset's table, so that the hub displays them.

    Args:
        zoo: the zoo.
        name: title of the dataset; the name of the zoo's folder by default.
        license: licence of the zoo in the hub's notation, such as `"cc-by-4.0"`.
    """
    summary = summarize(zoo)
    name = name or zoo.folder.resolve().name
    return "\n".join([*_front_matter(name, license, summary["rnns"]), "", *_body(zoo, name, summary)]) + "\n"


def _front_matter(name: str, license_name: str | None, num_rnns: int) -> list[str]:
    size = next((word for most, word in _SIZES if num_rnns < most), "n>1M")
    return [
        "---",
        f"pretty_name: {json.dumps(name)}",  # every JSON string is a YAML string
        *([f"license: {json.dumps(license_name)}"] if license_name else []),
        "size_categories:",
        f"- {size}",
        "tags:",
        *(f"- {tag}" for tag in ("rnn2vec", "model-zoo", "weight-space-learning", "recurrent-neural-networks")),
        "configs:",
        "- config_name: properties",
        '  data_files: "shards/*.parquet"',
        "---",
    ]


def _body(zoo: Zoo, name: str, summary: dict[str, Any]) -> list[str]:
    made = json.dumps(made_to_dict(zoo.manifest.made), indent=1, sort_keys=True)
    return [
        f"# {name}",
        "",
        f"A model zoo in the format of rnn2vec: {summary['rnns']:,} {_CELLS[zoo.spec.cell]}, snapshots of",
        f"{summary['runs']:,} training runs, with rollouts and properties.",
        "",
        "```python",
        "from rnn2vec import Zoo",
        "",
        'zoo = Zoo.open("FOLDER")  # after: rnn2vec zoo pull REPOSITORY --out FOLDER',
        f"stack = zoo.rnns(zoo.where(step={summary['snapshots'][-1]['step']}))",
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| architecture | {summary['architecture']}: {summary['parameters']:,} parameters |",
        f"| task family | {summary['family']} |",
        f"| out of distribution | {summary['ood_rule']} |",
        f"| rollouts of each RNN | {summary['rollouts']} |",
        f"| weight decay | {', '.join(f'{decay:g}' for decay in summary['weight_decays'])} |",
        f"| made | {summary['made']} |",
        "",
        "| split | tasks | runs | RNNs |",
        "|---|---|---|---|",
        *(f"| {split} | {n['tasks']:,} | {n['runs']:,} | {n['rnns']:,} |" for split, n in summary["splits"].items()),
        "",
        "| step | RNNs | mean performance | mean validation loss |",
        "|---|---|---|---|",
        *(
            f"| {one['step']:,} | {one['rnns']:,} | {one['performance']:.3f} | {one['validation_loss']:.4f} |"
            for one in summary["snapshots"]
        ),
        "",
        "`zoo.json` lists the shards with their SHA-256 checksums. Each shard is a safetensors file (`weights`,",
        "`rollouts`) and a Parquet file with one row per snapshot. Origin of the zoo:",
        "",
        "```json",
        made,
        "```",
    ]
