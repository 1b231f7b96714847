"""A checkpoint that was dropped on the page: checked as files from elsewhere are, embedded, and placed on the map.

The file goes to a temporary folder under a name of our own, so that its given name decides nothing but the format; the
library's own reader does the rest. One file is read at a time. Reading cannot be interrupted, but it is bounded: the
reader checks sizes before it takes memory. The page is answered after 30 seconds in any case.
"""

from __future__ import annotations

import concurrent.futures
import tempfile
import threading
from pathlib import Path, PurePosixPath
from typing import Any

from rnn2vec._errors import BusyError, DataError, Rnn2VecError, UsageError
from rnn2vec._text import visible
from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.query import Query
from rnn2vec.rnn.reading.files import read_rnn, suffixes
from rnn2vec.rnn.stack import RNNStack

LARGEST_UPLOAD = 64 * 2**20
"""Bytes of a dropped file, at most."""
_SECONDS = 30.0
_LONGEST_NAME = 200
_reader = threading.Lock()


def receive(collection: Collection, query: Query) -> dict[str, Any]:
    """Read a dropped file, embed its RNN, and keep both.

    Raises:
        UsageError: if it is no checkpoint, or the encoder does not read such RNNs.
        DataError: if it is damaged, may do harm, or takes too long to read.
        BusyError: if another file is being read.
    """
    name = visible(query.text("name"))[:_LONGEST_NAME]
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in suffixes():
        raise UsageError(f"{name} is no checkpoint by its name", remedy=f"drop one of {', '.join(suffixes())}.")
    if not isinstance(query.body, bytes) or not query.body:
        raise UsageError(f"{name} is empty", remedy="drop a file with content.")
    rnn = _read_in_time(collection, query.body, suffix, name)
    member = collection.add_upload(name, query.body, rnn)
    return {"id": member.id, "name": member.name, "assumed": [visible(one) for one in rnn.assumed]}


def _read_in_time(collection: Collection, content: bytes, suffix: str, name: str) -> RNNStack:
    if not _reader.acquire(blocking=False):
        raise BusyError("another file is being read", remedy="drop this one again in a moment.")
    result: concurrent.futures.Future[RNNStack] = concurrent.futures.Future()
    threading.Thread(target=_read, args=(collection, content, suffix, name, result), daemon=True).start()
    try:
        return result.result(timeout=_SECONDS)
    except TimeoutError as error:
        raise DataError(f"{name} takes more than {_SECONDS:.0f} s to read", remedy="drop a smaller file.") from error


def _read(
    collection: Collection, content: bytes, suffix: str, name: str, result: concurrent.futures.Future[RNNStack]
) -> None:
    """Read in a thread of its own; whatever happens, the next file can be read afterwards."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"upload{suffix}"
            path.write_bytes(content)
            try:
                result.set_result(read_rnn(path, **collection.hints))
            except Rnn2VecError as error:
                problem, remedy = (text.replace(str(path), name) for text in (error.problem, error.remedy))
                result.set_exception(type(error)(problem, remedy=remedy))
    except BaseException as error:  # noqa: BLE001 (the waiting request must be answered)
        result.set_exception(error)
    finally:
        _reader.release()
