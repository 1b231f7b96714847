"""Conditions on properties: they choose what they say, and a value that no row has is a mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rnn2vec._conditions import Condition, matching
from rnn2vec._errors import UsageError

TABLE = pa.table(
    {
        "step": [0, 100, 200, 0, 100, 200],
        "loss": [0.5, 0.25, 0.1, 0.75, None, 0.05],
        "split": ["train", "train", "ood", "validation", "train", None],
        "task": ["a, b", "a", "b", "a", "b", "a, b"],
        "good": [True, False, True, False, True, None],
    }
)


@pytest.mark.parametrize(
    ("conditions", "equal", "rows"),
    [
        (["step=100"], {}, [1, 4]),
        ([" step == 0, 200 "], {}, [0, 2, 3, 5]),
        (["step!=0,100"], {}, [2, 5]),
        (["step<100"], {}, [0, 3]),
        (["step <= 99.5"], {}, [0, 3]),
        (["step>=1e2", "loss<2e-1"], {}, [2, 5]),
        (["loss>0"], {}, [0, 1, 2, 3, 5]),
        (["loss != 0.5"], {}, [1, 2, 3, 5]),
        (["split!=train"], {}, [2, 3]),
        (["split=train,ood"], {}, [0, 1, 2, 4]),
        (["task=a, b"], {}, [0, 5]),
        (["good=true"], {}, [0, 2, 4]),
        ([], {"step": 100, "split": "train"}, [1, 4]),
        ([], {"step": [0, 200], "good": True}, [0, 2]),
        ([], {"step": np.int64(200)}, [2, 5]),
        (["step > 0"], {"loss": 0.25}, [1]),
        ([Condition("step", "<", 100)], {}, [0, 3]),
        ([], {}, range(6)),
    ],
)
def test_conditions_choose_what_they_say(conditions: list[str], equal: dict[str, Any], rows: list[int]) -> None:
    assert np.flatnonzero(matching(TABLE, conditions, equal)).tolist() == list(rows)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("step", "'step' is not a condition\n  -> write PROPERTY, one of < <= = != >= >, and a value"),
        ("step=", "is not a condition"),
        ("step=>3", "step = >3: step is of type int64\n  -> compare it with a value of that type."),
        ("stepp=3", "unknown property 'stepp'\n  -> did you mean 'step'?"),
        ("step=many", "step = many: step is of type int64"),
        ("step=201", "no RNN has step = 201\n  -> there are: 0, 100, 200."),
        ("step=0.5", "no RNN has step = 0.5"),
        ("step!=0,7", "no RNN has step = 7"),
        ("split=trian", "no RNN has split = trian\n  -> there are: ood, train, validation."),
    ],
)
def test_a_condition_that_cannot_be_met_says_so(condition: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        matching(TABLE, [condition])
    assert words in str(caught.value)


def test_many_values_are_described_by_their_range() -> None:
    table = pa.table({"run": range(50), "name": [f"rnn {row}" for row in range(50)]})
    with pytest.raises(UsageError, match=r"no RNN has run = 99\n  -> values go from 0 to 49; compare with < or >"):
        matching(table, ["run=99"])
    with pytest.raises(UsageError, match=r"no RNN has name = x\n  -> there are 50 values, such as rnn 0, rnn 1, "):
        matching(table, ["name=x"])
