"""A quick slice of the fault bench, and what becomes of outcomes: counts, tables, files."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.faults import __main__ as command
from benchmarks.faults.plan import CLEAN, SINGLE
from benchmarks.faults.planted import Fault, Pair
from benchmarks.faults.record import append, forget, key_of, read
from benchmarks.faults.table import BEGIN, END, Tables, insert, share
from benchmarks.faults.trial import Outcome, Setup, run_trial
from benchmarks.faults.workers import run_all

# By subject, so that a worker traces each reference once.
SLICE = {
    "gqa_decoder": ("rope_theta", "norm_eps", "causal_missing", "gqa_tile"),
    "moe": ("padding_seen", "gate_up_swapped"),
    "vision": ("channels_bgr", "heads_merged_untransposed"),
    "vocoder": ("window_symmetric", "gates_in_onnx_order"),
    "codec": ("kernel_flipped", "tail_dropped"),
    "unet": ("gelu_for_silu", "resnet_skip_dropped"),
}


# Some hypotheses about spectra make real numbers of complex ones, and come to nothing.
@pytest.mark.filterwarnings("ignore:Casting complex values to real")
@pytest.mark.parametrize("subject", SLICE)
def test_single_faults_are_found_where_they_are_and_named(subject: str) -> None:
    for name in SLICE[subject]:
        found = run_trial(Setup(subject, (name,), condition=SINGLE))
        assert not found.problem
        assert found.site == {name: True}, found.findings
        assert found.top1 == {name: True}, found.findings
        assert all(found.value.values())
        assert not found.wrong_high


def test_a_number_is_solved_for() -> None:
    assert run_trial(Setup("gqa_decoder", ("rope_theta",))).value == {"rope_theta": True}


@pytest.mark.parametrize(
    "setup",
    [
        Setup("gqa_decoder", precision="float16", condition=CLEAN),
        Setup("moe", variant="blocked", condition=CLEAN),
    ],
    ids=["half precision", "another order of sums"],
)
def test_nothing_is_graded_high_in_a_clean_port(setup: Setup) -> None:
    found = run_trial(setup)
    assert not found.problem
    assert not found.high
    assert found.gate


# -- Outcomes that are made up ---------------------------------------------------------------------


def _pair(*faults: Fault) -> Pair:
    def nothing(*_: object) -> None:
        raise AssertionError("tables run nothing")

    return Pair("made_up", nothing, nothing, (), "out", (), faults)


EPS = Fault("eps", "eps 1e-3 for 1e-5", ("norm",), ("norm.eps",), value=1e-3)
FLIP = Fault("flip", "a | flipped `kernel`", ("conv",), ("conv.kernel", "weights.permuted"))


def _outcome(fault: Fault, *, site: bool, top1: bool, **more: object) -> Outcome:
    setup = Setup("made_up", (fault.name,), condition=SINGLE)
    outcome = Outcome(setup, {fault.name: site}, {fault.name: top1}, {fault.name: top1})
    for name, value in more.items():
        setattr(outcome, name, value)
    return outcome


def _tables(*outcomes: Outcome) -> Tables:
    return Tables(outcomes, {"made_up": _pair(EPS, FLIP)}, planned=4)


FOUND = _outcome(
    EPS, site=True, top1=True, value={"eps": True}, high=1, seconds=2.0,
    baselines={"first allclose failure": False},
)  # fmt: skip
MISSED = _outcome(
    FLIP, site=True, top1=False, high=1, wrong_high=["norm.kind at conv"], seconds=4.0,
    findings=["high: norm.kind at conv [conv] (1 sites): a -> `b`"], verdict="explained",
    baselines={"first allclose failure": True},
)  # fmt: skip
BROKEN = Outcome(Setup("made_up", ("eps", "flip"), condition="2 at once"), problem="it | broke")
CLEAN_OUTCOME = Outcome(Setup("made_up", precision="float16", condition=CLEAN), seconds=1.0)


def test_counts_take_every_fault_that_was_on() -> None:
    counts = _tables(FOUND, MISSED, BROKEN).count([FOUND, MISSED, BROKEN])
    assert (counts.trials, counts.problems, counts.faults) == (3, 1, 4)
    assert (counts.site, counts.top1) == (2, 1)
    assert (counts.with_value, counts.named_value, counts.value) == (2, 1, 1)
    assert (counts.high, counts.right_high) == (2, 1)
    assert counts.as_json()["median_seconds"] == 3.0


def test_a_clean_trial_is_quiet_only_without_a_high_finding_and_with_its_output_accepted() -> None:
    refused = Outcome(CLEAN_OUTCOME.setup, gate=False)
    loud = Outcome(CLEAN_OUTCOME.setup, high=1, wrong_high=["x"])
    broken = Outcome(CLEAN_OUTCOME.setup, problem="broke")
    counts = _tables().count([CLEAN_OUTCOME, refused, loud, broken])
    assert (counts.trials, counts.quiet, counts.no_high, counts.accepted) == (4, 1, 2, 2)


@pytest.mark.parametrize(
    ("count", "of", "text"),
    [
        (2, 3, "66.6 % (2 of 3)"),
        (1999, 2000, "99.9 % (1,999 of 2,000)"),
        (5, 5, "100 % (5 of 5)"),
        (0, 0, "-"),
    ],
)
def test_percentages_are_cut_off_and_come_with_their_counts(count: int, of: int, text: str) -> None:
    assert share(count, of) == text


def test_the_tables_hold_every_condition_and_list_what_was_missed() -> None:
    text = _tables(FOUND, MISSED, BROKEN, CLEAN_OUTCOME).as_markdown()
    assert "All 4 trials" in text
    assert f"| {SINGLE} | 2 | 2 | 100 % (2 of 2) | 50 % (1 of 2) |" in text
    assert "| 2 at once | 1 | 2 | 0 % (0 of 2) |" in text
    assert "| float16 | 1 | 100 % (1 of 1) |" in text
    assert "| first allclose failure | place | 50 % (1 of 2) | 100 % (2 of 2) |" in text
    assert "2 different faults" in text
    assert "<summary>Faults whose place or cause was missed (3)</summary>" in text
    assert "a \\| flipped \\`kernel\\`" in text
    assert "<summary>Findings graded `high` that name no fault that was on (1)</summary>" in text


def test_clean_trials_that_went_wrong_are_listed() -> None:
    refused = Outcome(CLEAN_OUTCOME.setup, gate=False)
    broken = Outcome(CLEAN_OUTCOME.setup, problem="it broke")
    text = _tables(refused, broken).as_markdown()
    assert "<summary>Clean ports whose output was refused (1)</summary>" in text
    assert "float16, modules, plain, case 0: `it broke`" in text


def test_the_tables_say_so_where_trials_are_missing() -> None:
    assert "**1 of the 4 trials of the plan were made so far.**" in _tables(FOUND).as_markdown()
    assert _tables().as_markdown()


def test_the_tables_of_a_table_are_as_wide_as_their_heads() -> None:
    text = _tables(FOUND, MISSED, BROKEN, CLEAN_OUTCOME).as_markdown()
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("| ")]
    assert len(tables) == 5
    for head, rule, *rows in tables:
        assert rows
        assert {line.count(" | ") for line in (rule, *rows)} == {head.count(" | ")}


def test_the_counts_are_json() -> None:
    counts = _tables(FOUND, MISSED, BROKEN, CLEAN_OUTCOME).as_json()
    assert json.loads(json.dumps(counts, allow_nan=False)) == counts
    assert counts["distinct"]["families"] == 2


def test_a_table_goes_between_the_marks_of_the_page() -> None:
    page = f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    once = insert(page, "new")
    assert once == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"
    assert insert(once, "new") == once
    with pytest.raises(ValueError, match="no lines"):
        insert("no marks", "new")


def test_the_page_has_the_marks() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "diagnosis_bench.md"
    assert insert(page.read_text(encoding="utf-8"), "") != ""


def test_the_command_makes_what_is_missing_and_writes_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = [FOUND.setup, MISSED.setup, BROKEN.setup, CLEAN_OUTCOME.setup]
    of = {key_of(o.setup): o for o in (FOUND, MISSED, BROKEN, CLEAN_OUTCOME)}
    made: list[str] = []

    def run_all(setups: list[Setup], *_: object) -> list[Outcome]:
        made.extend(setup.condition for setup in setups)
        return [of[key_of(setup)] for setup in setups]

    monkeypatch.setattr(command, "all_setups", lambda: plan)
    monkeypatch.setattr(command, "run_all", run_all)
    monkeypatch.setattr(command, "pair_of", lambda _: _pair(EPS, FLIP))
    monkeypatch.setattr(command, "SUBJECTS", ("made_up",))
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    options = ["--results", str(tmp_path), "--page", str(page)]
    command.main([*options, "--condition", "single*"])
    assert made == [SINGLE, SINGLE]
    assert "**2 of the 4 trials" in page.read_text()
    command.main(options)
    assert made[2:] == ["2 at once", CLEAN]
    command.main(options)
    assert made[4:] == ["2 at once"], "what ended in a problem is made again"
    command.main([*options, "--condition", CLEAN, "--fresh"])
    assert made[5:] == [CLEAN]
    assert "All 4 trials" in page.read_text()
    assert json.loads((tmp_path / "faults.json").read_text())["made"] == 4
    with pytest.raises(SystemExit, match="the conditions are"):
        command.main([*options, "--condition", "no such"])


def test_a_subject_that_cannot_be_made_costs_its_trial_alone() -> None:
    wanted = [Setup("no_such"), Setup("nor_this")]
    found = list(run_all(wanted, 1, math.inf))
    assert [outcome.setup for outcome in found] == wanted
    assert all("ModuleNotFoundError" in outcome.problem for outcome in found)


def test_nothing_is_begun_when_time_is_up() -> None:
    assert list(run_all([Setup("no_such")], 1, 0.0)) == []


def test_outcomes_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "results" / "faults.jsonl"
    assert read(path) == {}
    for outcome in (FOUND, BROKEN):
        append(path, outcome)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"setup": {"subj')  # the run was stopped here
    found = read(path)
    assert set(found) == {key_of(FOUND.setup), key_of(BROKEN.setup)}
    assert found[key_of(FOUND.setup)] == FOUND
    assert math.isnan(found[key_of(BROKEN.setup)].seconds)


def test_an_outcome_behind_a_line_that_was_cut_off_is_read(tmp_path: Path) -> None:
    path = tmp_path / "faults.jsonl"
    path.write_text('{"setup": {"subj')
    append(path, FOUND)
    assert set(read(path)) == {key_of(FOUND.setup)}


def test_what_is_forgotten_is_made_again_and_the_later_of_two_counts(tmp_path: Path) -> None:
    path = tmp_path / "faults.jsonl"
    for outcome in (FOUND, BROKEN, Outcome(FOUND.setup, verdict="later")):
        append(path, outcome)
    assert read(path)[key_of(FOUND.setup)].verdict == "later"
    forget(path, [FOUND.setup])
    assert set(read(path)) == {key_of(BROKEN.setup)}
