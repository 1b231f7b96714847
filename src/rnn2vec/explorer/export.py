"""A static copy of the page: one HTML file that opens from the file system, with the server's answers recorded in it.

The page's modules become one script, because browsers load no modules from files; a checksum in the page's policy
admits this script and nothing else. Recorded are the maps, the columns, and what the page asks about a sample of RNNs.
"""

from __future__ import annotations

import base64
import graphlib
import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from rnn2vec._errors import DataError
from rnn2vec._files import canonical_json, write_atomically, write_json
from rnn2vec._lock import claim
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec.explorer.collection import DERIVED, Collection
from rnn2vec.explorer.query import Query
from rnn2vec.explorer.server import READING, Answer, answer, page_files
from rnn2vec.index import store

MARKER = "rnn2vec-explorer.json"
PAGE = "index.html"
MOST_RNNS = 60
"""RNNs whose cards, dialogues and comparisons are recorded."""
_TABLE_PAGE = 50  # rows, as in static/table.js
_MOST_TABLE_ROWS = 2000
_SECONDS_BETWEEN_TRIES = 0.2

_IMPORT = re.compile(r'^import \{ (.+?) \} from "\./([\w.]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)

Request = tuple[str, tuple[tuple[str, str], ...]]
"""Name of a view, and parameters in the order in which the page gives them."""


def export(collection: Collection, folder: Path, *, num_rnns: int = MOST_RNNS, progress: Progress = silent) -> Path:
    """Write a static copy of the page.

    Args:
        collection: what it shows.
        folder: where to write it: new, empty, or an earlier copy.
        num_rnns: RNNs whose cards, dialogues and comparisons are recorded, spread evenly over the collection.
        progress: callback that receives the number of answers recorded.

    Returns:
        The HTML file.

    Raises:
        UsageError: if the folder holds other things.
        StorageError: if the disk refused a write.
    """
    with claim(folder, marker=MARKER, kind="exported page"):
        write_json(folder / MARKER, {"provenance": provenance()})
        sample = np.unique(np.linspace(0, len(collection) - 1, min(num_rnns, len(collection))).astype(int))
        requests = list(dict.fromkeys([*_of_collection(collection), *_of_rnns(collection, sample.tolist())]))
        recorded: dict[str, dict[str, object]] = {}
        for number, (view, parameters) in enumerate(requests):
            progress(number, len(requests), view)
            found = _answered(collection, view, parameters)
            if found.status == 200:
                address = f"api/{view}" + (f"?{urlencode(parameters)}" if parameters else "")
                body = base64.b64encode(found.body).decode()
                recorded[address] = {"body": body, "json": found.media_type == "application/json"}
        write_atomically(folder / PAGE, render(page_files(), {"answers": recorded}).encode())
        progress(len(requests), len(requests), "done")
    return folder / PAGE


def _of_collection(collection: Collection) -> Iterator[Request]:
    yield "collection", ()
    for method in ("pca", "tsne"):
        yield "map", (("method", method),)
    names = [name for name in collection.table.column_names if name != store.NAME]
    for name in dict.fromkeys([*names, *DERIVED]):
        yield "column", (("name", name),)
    yield "runs", ()
    yield "digits", ()
    rows = range(min(len(collection), _MOST_TABLE_ROWS))
    for start in rows[::_TABLE_PAGE]:
        yield "rows", (("rows", ",".join(map(str, rows[start : start + _TABLE_PAGE]))),)


def _of_rnns(collection: Collection, sample: list[int]) -> Iterator[Request]:
    _, nearest = collection.index.nearest(collection.index.vectors[sample], 2)
    for row, near in zip(sample, nearest.tolist(), strict=True):
        other = next((one for one in near if one != row), row)
        for method in ("pca", "tsne"):
            yield "card", (("id", str(row)), ("method", method))
        yield "predictions", (("id", str(row)),)
        yield "ask", (("id", str(row)),)
        yield "prefix", (("id", str(row)), ("tokens", ""))
        yield "compare", (("a", str(row)), ("b", str(other)))
        yield "rows", (("rows", str(row)),)
        yield "rows", (("rows", f"{row},{other}"),)


def _answered(collection: Collection, view: str, parameters: tuple[tuple[str, str], ...]) -> Answer:
    """Return the answer to a request, after waiting for what is computed in the background."""
    while True:
        found = answer(collection, READING[view], Query(parameters))
        if found.status != 202:
            return found
        time.sleep(_SECONDS_BETWEEN_TRIES)


def render(files: dict[str, bytes], recording: dict[str, object]) -> str:
    """Return the page with its style, its script and a recording inside.

    Args:
        files: the page's own files by name.
        recording: the server's answers, by address.
    """
    style, script = files["style.css"].decode(), bundled(files)
    policy = (
        f"default-src 'none'; script-src {_checksum(script)}; style-src {_checksum(style)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = canonical_json(recording).replace("<", "\\u003c")
    page = files["index.html"].decode()
    charset = '<meta charset="utf-8">'
    replaced = {
        charset: f'{charset}\n<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<link rel="stylesheet" href="static/style.css">': f"<style>{style}</style>",
        '<script type="module" src="static/main.js"></script>\n': "",
        "</body>": (
            f'<script id="recording" type="application/json">{data}</script>\n<script>{script}</script>\n</body>'
        ),
    }
    for old, new in replaced.items():
        if page.count(old) != 1:
            raise DataError(f"the page has {old!r} {page.count(old)} times", remedy="install the package again.")
        page = page.replace(old, new)
    return page


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def bundled(files: dict[str, bytes]) -> str:
    """Return the page's modules as one classic script: each in a block, in the order of their imports."""
    sources = {name: content.decode() for name, content in files.items() if name.endswith(".js")}
    order = graphlib.TopologicalSorter(
        {name: {one[1] for one in _IMPORT.findall(source)} for name, source in sources.items()}
    )
    blocks = [_block(name, sources[name]) for name in order.static_order()]
    script = '"use strict";\nconst modules = {};\n' + "\n".join(blocks)
    if re.search(r"^\s*(import|export) ", script, re.MULTILINE) or "</script" in script:
        raise DataError("a module of the page is written in a way that cannot be bundled", remedy="report this.")
    return script


def _block(name: str, source: str) -> str:
    body = _IMPORT.sub(lambda one: f'const {{ {one[1].replace(" as ", ": ")} }} = modules["{one[2]}"];', source)
    body = _EXPORT.sub(r"\1", body)
    names = ", ".join(one[1] for one in _EXPORT.findall(source))
    return f'{{\n{body}\nmodules["{name}"] = {{ {names} }};\n}}'
