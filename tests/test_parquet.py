"""Tables are read so that a process that has torch too ends as it should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnn2vec._errors import DataError
from rnn2vec._parquet import read_table

SOURCE = Path(__file__).parents[1] / "src" / "rnn2vec"
SCRIPT = """
import sys
from pathlib import Path
import torch
from rnn2vec._errors import DataError
from rnn2vec._parquet import read_table

assert read_table(Path(sys.argv[1])).num_rows == 1000
assert read_table(Path(sys.argv[1]).read_bytes()).num_rows == 1000
"""


def test_a_table_is_read_from_a_file_or_its_contents(tmp_path: Path) -> None:
    table, path = pa.table({"a": [1, 2], "b": ["x", None]}, metadata={"note": "kept"}), tmp_path / "year=7.parquet"
    pq.write_table(table, path)
    for source in (path, path.read_bytes()):
        assert read_table(source).equals(table)
        assert read_table(source).schema.metadata[b"note"] == b"kept"
    for torn in (b"", b"PAR1", path.read_bytes()[:-9]):
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            read_table(torn)


def test_nothing_is_read_in_another_way() -> None:
    other = re.compile(r"\bpq\.(read_table|read_pandas|ParquetDataset)\b")
    readers = [path.name for path in SOURCE.rglob("*.py") if other.search(path.read_text())]
    assert readers == []


@pytest.mark.slow
def test_a_process_that_has_read_ends_as_it_should(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({f"z{at}": [float(at)] * 1000 for at in range(20)}), path)
    command = [sys.executable, "-c", SCRIPT, str(path)]
    codes = [subprocess.run(command, capture_output=True, check=False).returncode for _ in range(12)]
    assert codes == [0] * 12
