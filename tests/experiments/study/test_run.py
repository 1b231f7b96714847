"""Running a study: what is done is skipped, what was cut goes on, what fails stands in nobody's way."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.seals import rewrite

from rnn2vec._errors import DataError, UsageError
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.experiments.study.config import Study
from rnn2vec.experiments.study.expand import pieces_of
from rnn2vec.experiments.study.files import read_study_of
from rnn2vec.experiments.study.pieces import run_floor, run_pretraining
from rnn2vec.experiments.study.rows import CLOSED_FORM, read_rows, write_row
from rnn2vec.experiments.study.run import Outcome, StudyError, run_study
from rnn2vec.experiments.study.summary import summarize
from rnn2vec.zoo.store import Zoo

Ran = tuple[Path, Outcome, list[tuple[str, float, float, str]]]
INTERACTIVE, FLOOR = "pretrain.interactive-probing.default.seed-0", "pretrain.task-blind.floor.seed-0"


@pytest.fixture
def copy(ran: Ran, tmp_path: Path) -> Path:
    """The folder of a finished study, to be changed."""
    return Path(shutil.copytree(ran[0], tmp_path / "copy"))


def _touched(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_every_piece_gets_a_row(ran: Ran) -> None:
    folder, outcome, heard = ran
    assert outcome == Outcome((), (CLOSED_FORM, FLOOR, INTERACTIVE), {})
    rows = read_rows(folder)
    assert set(rows) == {CLOSED_FORM, FLOOR, INTERACTIVE}
    assert {which for which, *_ in heard} == {"zoo", "pieces"}
    which, done, total, what = heard[-1]
    assert (which, done, total) == ("pieces", 14, 14)
    assert what.startswith("2 of 2 pieces; ")


def test_a_row_says_what_was_trained_and_how_it_went(ran: Ran) -> None:
    folder, *_ = ran
    row = read_rows(folder)[INTERACTIVE]
    assert (row.encoder, row.variant, row.seed, row.setting) == ("interactive-probing", "default", 0, "pretrain")
    assert row.config["num_steps"] == 7
    assert row.curve["step"] == [3, 6, 7]
    losses = row.curve["validation/total-variation"]
    assert row.best["validation/total-variation"] == min(losses)
    assert row.best["step"] == row.curve["step"][losses.index(min(losses))]
    assert row.hardware["processor"]
    assert row.provenance["torch"]
    assert row.seconds is not None
    assert row.seconds > 0
    assert row.zoo["config"]["num_runs"] == 3
    assert len((folder / "rows" / f"{INTERACTIVE}.json").read_bytes()) < 10_000


def test_unseen_tasks_average_to_the_validation(ran: Ran) -> None:
    rows = read_rows(ran[0])
    for name in (INTERACTIVE, CLOSED_FORM):
        row = rows[name]
        by_task = row.unseen["total-variation"]
        assert len(by_task) == len(row.unseen["task"])
        assert sum(by_task) / len(by_task) == pytest.approx(row.best["validation/total-variation"], rel=1e-5)


def test_what_is_done_is_not_touched_again(copy: Path, small_study: Callable[..., Study]) -> None:
    shutil.rmtree(copy / "zoo")  # rows are enough: not even the zoo is needed
    shutil.rmtree(copy / "runs")
    before = _touched(copy / "rows")
    assert run_study(small_study(), copy) == Outcome((FLOOR, INTERACTIVE), (), {})
    assert _touched(copy / "rows") == before


@pytest.mark.slow
def test_a_study_may_grow_and_a_failing_piece_does_not_stop_the_others(
    copy: Path, small_study: Callable[..., Study]
) -> None:
    grown = small_study(seeds=[0, 1, 2])
    broken, sound = (f"pretrain.interactive-probing.default.seed-{seed}" for seed in (1, 2))
    (copy / "runs" / broken).mkdir()
    (copy / "runs" / broken / "mine.txt").write_text("mine")
    outcome = run_study(grown, copy, workers=1)
    assert outcome.skipped == (FLOOR, INTERACTIVE)
    assert outcome.done == (sound,)
    assert list(outcome.failed) == [broken]
    assert "UsageError" in (copy / "errors" / f"{broken}.txt").read_text()
    with pytest.raises(StudyError) as caught:
        outcome.require_success(copy)
    assert caught.value.problem.startswith(f"1 of 4 pieces failed: {broken}: ")
    assert "is not a run" in caught.value.problem
    assert "rerun the command to try these again" in caught.value.remedy
    assert caught.value.exit_code == 1

    (copy / "runs" / broken / "mine.txt").unlink()
    outcome = run_study(grown, copy, workers=1)
    assert outcome.done == (broken,)
    assert not (copy / "errors").exists()


def test_a_row_of_another_config_is_refused(copy: Path, small_study: Callable[..., Study]) -> None:
    before = _touched(copy)
    changed = small_study(pretrain={**small_study().pretrain, "batch_size": 2})
    with pytest.raises(UsageError, match=r"has a row of pretrain\..* with another config: batch_size was 3, now 2"):
        run_study(changed, copy)
    assert _touched(copy) == before


def test_a_row_from_before_an_option_was_there_counts_with_its_default(
    copy: Path, small_study: Callable[..., Study]
) -> None:
    row = read_rows(copy)[INTERACTIVE]
    old = {name: value for name, value in row.config.items() if name != "train_runs"}
    write_row(copy, dataclasses.replace(row, config=old))
    assert run_study(small_study(), copy).done == ()


def test_a_row_of_another_zoo_is_refused(copy: Path, small_study: Callable[..., Study]) -> None:
    row = read_rows(copy)[INTERACTIVE]
    write_row(copy, dataclasses.replace(row, zoo={**row.zoo, "config": {**row.zoo["config"], "seed": 7}}))
    with pytest.raises(UsageError, match="is of another zoo than"):
        run_study(small_study(seeds=[0, 1]), copy)


def test_another_study_in_the_folder_is_refused(copy: Path, small_study: Callable[..., Study]) -> None:
    with pytest.raises(UsageError, match="holds study made-up, not other"):
        run_study(small_study(name="other"), copy)


def test_the_marker_says_who_asked_first(
    copy: Path, small_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (copy / "study.json").read_bytes()
    monkeypatch.setattr("rnn2vec.experiments.study.files.provenance", lambda: {"commit": "later"})
    run_study(small_study(), copy)
    assert (copy / "study.json").read_bytes() == before


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"study": []}', '{"study": {}}', '{"study": {"name": 1}}'])
def test_a_damaged_marker_is_written_anew_and_rows_stay(
    copy: Path, small_study: Callable[..., Study], content: str
) -> None:
    (copy / "study.json").write_text(content)
    assert run_study(small_study(), copy).skipped == (FLOOR, INTERACTIVE)
    assert read_study_of(copy) == small_study()


def test_variants_in_another_order_are_written_down(
    made_up: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    folder = made_up(study_of(variants={"one": {}, "two": {}}), lambda _: [0.05])
    assert run_study(study_of(variants={"two": {}, "one": {}}), folder).done == ()
    assert list(read_study_of(folder).variants) == ["two", "one"]


def test_a_device_that_is_not_there_is_refused_before_anything_is_made(
    tmp_path: Path, small_study: Callable[..., Study]
) -> None:
    with pytest.raises(UsageError, match="torch cannot use device 'cuda:99'"):
        run_study(small_study(), tmp_path / "out", device="cuda:99")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, small_study: Callable[..., Study]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"not a study \(it has no study.json\)"):
        run_study(small_study(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("content", ["{", "[]", '{"format_version": 1}', '{"format_version": 9}'])
def test_a_damaged_row_names_itself(copy: Path, small_study: Callable[..., Study], content: str) -> None:
    (copy / "rows" / f"{INTERACTIVE}.json").write_text(content)
    with pytest.raises(DataError, match=rf"{INTERACTIVE}.json is no row of a study") as caught:
        run_study(small_study(), copy)
    assert "delete it to train that piece again" in caught.value.remedy


def test_a_row_under_another_name_is_refused(copy: Path, small_study: Callable[..., Study]) -> None:
    rows = copy / "rows"
    (rows / f"{INTERACTIVE}.json").rename(rows / "other.json")
    with pytest.raises(DataError, match=rf"other.json is no row .* is of {INTERACTIVE}"):
        run_study(small_study(), copy)


def test_a_zoo_that_is_there_is_used_where_it_is_and_encoders_are_checked_on_it(
    ran: Ran, tmp_path: Path, small_study: Callable[..., Study]
) -> None:
    wrong = {"interactive-probing": {"mpl_size": 8}}
    there = small_study(zoo={"folder": str(ran[0] / "zoo")}, encoder_options=wrong)
    with pytest.raises(UsageError, match=f"{INTERACTIVE}: .*mpl_size"):
        run_study(there, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["study.json"]


def test_a_zoo_of_another_family_is_refused(ran: Ran, tmp_path: Path, small_study: Callable[..., Study]) -> None:
    with pytest.raises(UsageError, match="has RNNs of formal-languages, the study is of tiled-mnist") as caught:
        run_study(small_study(zoo={"folder": str(ran[0] / "zoo"), "family": "tiled-mnist"}), tmp_path / "out")
    assert "family: formal-languages" in caught.value.remedy


def test_a_zoo_without_its_end_is_refused(copy: Path, tmp_path: Path, small_study: Callable[..., Study]) -> None:
    rewrite(copy / "zoo" / "zoo.json", lambda content: content["config"].update({"num_runs": 300}))
    with pytest.raises(DataError, match="is not complete"):
        run_study(small_study(zoo={"folder": str(copy / "zoo")}), tmp_path / "out")


# -- what a worker does, without a process of its own ----------------------------------------------


def test_a_piece_that_was_cut_goes_on(ran: Ran, copy: Path, small_study: Callable[..., Study]) -> None:
    """Its run has made some updates; in the end its row is that of an uninterrupted one, but for the time it took."""
    piece = next(piece for piece in pieces_of(small_study()) if piece.name == INTERACTIVE)
    shutil.rmtree(copy / "runs" / piece.name)
    (copy / "rows" / f"{piece.name}.json").unlink()

    def cut(done: float, total: float, what: str) -> None:  # noqa: ARG001
        if done == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        pretrain(Zoo.open(copy / "zoo"), piece.config, copy / "runs" / piece.name, progress=cut)
    heard: list[float] = []
    run_pretraining(copy / "zoo", piece, copy, progress=lambda done, *_: heard.append(done))
    assert heard[0] == 4  # not from the start: there was a checkpoint after 3
    assert _without_time(read_rows(copy)[piece.name]) == _without_time(read_rows(ran[0])[piece.name])


def test_the_floor_is_measured_where_it_was(ran: Ran, copy: Path, small_study: Callable[..., Study]) -> None:
    (copy / "rows" / f"{CLOSED_FORM}.json").unlink()
    heard: list[tuple[Any, ...]] = []
    run_floor(copy / "zoo", pieces_of(small_study())[0], copy, progress=lambda *said: heard.append(said))
    assert heard == [(1, 1, "done")]
    assert read_rows(copy)[CLOSED_FORM] == read_rows(ran[0])[CLOSED_FORM]


def _without_time(row: Any) -> dict[str, Any]:
    return {**dataclasses.asdict(row), "seconds": None}


def test_the_summary_needs_no_more_than_rows(ran: Ran, copy: Path) -> None:
    for name in ("zoo", "runs"):
        shutil.rmtree(copy / name)
    assert summarize(copy) == summarize(ran[0])
