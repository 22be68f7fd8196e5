"""The main job: every case and candidate compared, captures reused, failures reported."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.diffing import Outcome
from parity.errors import ConfigError, InputError
from parity.run import load_config, run
from parity.run.screen import screen
from tests_text import text_of

Project = Callable[..., Path]


def give_fault(file: Path, fault: str) -> None:
    """Let the second candidate have another fault, and run in a process of its own."""
    isolated = f'fault = "{fault}" }}'
    file.write_text(file.read_text().replace('fault = "scale" }\nisolate = false', isolated))


def test_each_candidate_is_compared_on_each_case(project: Project) -> None:
    result = run(load_config(project()))
    found = {(c.case, c.candidate): c.diff.outcome for c in result.comparisons if c.diff}
    assert found == {
        ("case0", "clean"): Outcome.HOLDS,
        ("case0", "scaled"): Outcome.BROKEN,
        ("case1", "clean"): Outcome.HOLDS,
        ("case1", "scaled"): Outcome.BROKEN,
    }
    assert result.exit_status == 1
    first = result.comparisons[1].diff.first_divergence  # type: ignore[union-attr]
    assert first is not None
    assert first.key.path == "layer1"


def test_names_choose_candidates_and_cases(project: Project) -> None:
    result = run(load_config(project()), candidates=["clean"], cases=["case1"])
    assert [(c.case, c.candidate) for c in result.comparisons] == [("case1", "clean")]
    assert result.exit_status == 0
    assert result.holds


def test_the_candidate_runs_on_the_noise_of_the_reference(project: Project) -> None:
    # The subject draws unseeded noise where it is given none: without the tape nothing would agree.
    result = run(load_config(project()), candidates=["clean"], cases=["case0"])
    assert result.comparisons[0].diff.counts.keys() == {"identical"}  # type: ignore[union-attr]


def test_nothing_is_captured_twice(project: Project) -> None:
    config = load_config(project())
    run(config, cases=["case0"])
    again = run(config, cases=["case0"])
    assert all(c.reference.reused and c.capture.reused for c in again.comparisons)
    fresh = run(config, cases=["case0"], fresh=True)
    assert not any(c.reference.reused or c.capture.reused for c in fresh.comparisons)


def test_only_what_changed_is_captured_again(project: Project) -> None:
    file = project()
    run(load_config(file), cases=["case0"])
    file.write_text(file.read_text().replace('fault = "scale"', 'fault = ""'))
    clean, scaled = run(load_config(file), cases=["case0"]).comparisons
    assert (clean.reference.reused, clean.capture.reused) == (True, True)
    assert (scaled.reference.reused, scaled.capture.reused) == (True, False)


def test_a_changed_source_is_captured_again(project: Project) -> None:
    file = project()
    run(load_config(file), candidates=["clean"], cases=["case0"])
    source = file.parent / "toy_subject.py"
    source.write_text(source.read_text() + "\n# changed\n")
    (comparison,) = run(load_config(file), candidates=["clean"], cases=["case0"]).comparisons
    assert not comparison.reference.reused
    assert not comparison.capture.reused


def test_a_damaged_capture_is_made_again(project: Project) -> None:
    config = load_config(project())
    (before,) = run(config, candidates=["clean"], cases=["case0"]).comparisons
    content = before.capture.path.read_bytes()
    before.capture.path.write_bytes(content[: len(content) // 2])
    (after,) = run(config, candidates=["clean"], cases=["case0"]).comparisons
    assert (after.reference.reused, after.capture.reused) == (True, False)


@pytest.mark.parametrize(("fault", "words"), [("raises", "no such layer"), ("crashes", "SIGABRT")])
def test_a_candidate_that_fails_is_a_result(project: Project, fault: str, words: str) -> None:
    give_fault(project(), fault)
    clean, scaled = run(load_config(), cases=["case0"]).comparisons
    assert clean.exit_status == 0
    assert scaled.exit_status == 2
    assert words in scaled.capture.problem


def test_what_a_crashed_candidate_recorded_is_compared(project: Project) -> None:
    give_fault(project(), "crashes")
    (comparison,) = run(load_config(), candidates=["scaled"], cases=["case0"]).comparisons
    assert comparison.diff is not None
    assert comparison.diff.compared == 2
    shown = text_of(screen(run(load_config(), candidates=["scaled"], cases=["case0"])))
    assert "scaled did not run to its end" in shown


@pytest.mark.parametrize("fault", ["crashes", "crashes late"])
def test_reports_of_a_crashed_candidate_say_what_ended_it(project: Project, fault: str) -> None:
    give_fault(project(), fault)
    (comparison,) = run(load_config(), candidates=["scaled"], cases=["case0"]).comparisons
    said = json.loads(comparison.reports["json"].read_text())
    assert said["outcome"] != "holds"
    assert "scaled did not run to its end: " in said["notes"][0]
    assert "SIGABRT" in said["notes"][0]
    assert "SIGABRT" in comparison.reports["markdown"].read_text()


def test_a_crash_when_all_is_recorded_is_no_parity(project: Project) -> None:
    give_fault(project(), "crashes late")
    (comparison,) = run(load_config(), candidates=["scaled"], cases=["case0"]).comparisons
    assert comparison.diff is not None
    assert comparison.diff.compared == 3
    assert comparison.diff.outcome is Outcome.INVALID


def test_a_reference_that_fails_stops_its_case_only(project: Project) -> None:
    file = project()
    reference = '[reference]\nbackend = "toy_subject:Toy"'
    failing = f'{reference}\noptions = {{ fault = "raises" }}'
    file.write_text(file.read_text().replace(reference, failing))
    result = run(load_config(), cases=["case0"])
    assert result.exit_status == 2
    assert all("did not run" in c.capture.problem for c in result.comparisons)


def test_reports_are_written(project: Project) -> None:
    project()
    (comparison,) = run(load_config(), candidates=["scaled"], cases=["case0"]).comparisons
    assert {path.name for path in comparison.reports.values()} == {
        "toy-case0-scaled.json",
        "toy-case0-scaled.md",
    }
    assert json.loads(comparison.reports["json"].read_text())["outcome"] == "broken"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('formats = ["json"', 'formats = ["jsn"'), "no report format 'jsn'"),
        (("[report]", "[tolerance]\npreset = 'fp23'\n[report]"), "preset 'fp23'"),
        (("toy_subject:cases", "toy_subject:kases"), "no attribute 'kases'"),
        (("toy_subject:cases", "toy_subject:Toy"), "must return|cannot be called"),
    ],
)
def test_a_wrong_configuration_is_said_before_anything_runs(
    project: Project, change: tuple[str, str], message: str
) -> None:
    file = project()
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(Exception, match=message):
        run(load_config(file))
    assert not (file.parent / ".parity").exists()


def test_an_unknown_name_lists_the_known_ones(project: Project) -> None:
    config = load_config(project())
    with pytest.raises(ConfigError, match=r"candidates: clean, scaled"):
        run(config, candidates=["rust"])
    with pytest.raises(ConfigError, match=r"cases: case0, case1|cases: case1, case0"):
        run(config, cases=["case7"])


def test_a_subject_that_speaks_says_how_fast(project: Project) -> None:
    file = project()
    audio = 'audio = { waveform = "layer2", sample_rate = 4, chunk = "layer1" }'
    file.write_text(file.read_text().replace("[reference]", f"{audio}\n\n[reference]"))
    (comparison,) = run(load_config(file), candidates=["clean"], cases=["case0"]).comparisons
    assert comparison.speed.keys() == {"reference", "candidate"}
    speed = comparison.speed["candidate"]
    assert speed.audio_s == 2.0
    assert 0 < speed.first_audio_s <= speed.run_s
    assert speed.real_time_factor == pytest.approx(2.0 / speed.run_s)


def test_both_sides_are_timed_tap_by_tap(project: Project) -> None:
    project()
    (comparison,) = run(load_config(), candidates=["clean"], cases=["case0"]).comparisons
    assert comparison.diff is not None
    table = comparison.diff.speed()
    # The first tap has none before it.
    assert list(table.index) == ["layer1", "layer2"]
    assert (table[["reference_s", "candidate_s", "ratio"]] > 0).all(axis=None)


def test_a_candidate_that_never_began_leaves_nothing_of_an_earlier_run(project: Project) -> None:
    file = project()
    (before,) = run(load_config(file), candidates=["clean"], cases=["case0"]).comparisons
    assert before.reports["json"].exists()
    clean = '[candidates.clean]\nbackend = "toy_subject:Toy"'
    text = file.read_text().replace(clean, '[candidates.clean]\nbackend = "toy_subject:Gone"')
    file.write_text(text)
    (after,) = run(load_config(file), candidates=["clean"], cases=["case0"]).comparisons
    assert after.exit_status == 2
    assert after.diff is None
    assert not before.reports["json"].exists()


def test_a_folder_that_is_not_there_is_an_error(project: Project) -> None:
    file = project()
    file.write_text(file.read_text().replace('name = "toy"', 'name = "toy"\npython_path = ["srx"]'))
    with pytest.raises(ConfigError, match=r"no such folder: .*srx"):
        load_config(file)


def test_an_output_that_is_not_there_is_said(project: Project) -> None:
    file = project()
    file.write_text(file.read_text().replace('name = "toy"', 'name = "toy"\noutput = "tokenz"'))
    (comparison,) = run(load_config(file), candidates=["clean"], cases=["case0"]).comparisons
    assert comparison.diff is not None
    assert any("no tap is called 'tokenz'" in note for note in comparison.diff.notes)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('cases = "toy_subject:cases"', 'cases = "toy_subject:other_cases"'),
        ("[report]", '[select]\ninclude = ["layer*"]\n[report]'),
        ("[candidates.clean]", '[candidates.clean]\ndepends = ["weights.bin"]'),
    ],
)
def test_another_case_selection_or_dependency_is_captured_again(
    project: Project, old: str, new: str
) -> None:
    file = project()
    source = file.parent / "toy_subject.py"
    other = "\ndef other_cases():\n    return [Case('case0', {'shift': 0.5}, seed=9)]\n"
    source.write_text(source.read_text() + other)
    run(load_config(file), candidates=["clean"], cases=["case0"])
    (again,) = run(load_config(file), candidates=["clean"], cases=["case0"]).comparisons
    assert again.capture.reused
    file.write_text(file.read_text().replace(old, new))
    (changed,) = run(load_config(file), candidates=["clean"], cases=["case0"]).comparisons
    assert not changed.capture.reused


@pytest.mark.parametrize("named", ["dumps/case0", "dumps/{case}"])
def test_a_changed_dump_is_captured_again(project: Project, named: str) -> None:
    file = project()
    folder = file.parent / "dumps" / "case0"
    folder.mkdir(parents=True)
    np.save(folder / "layer0.npy", np.arange(8.0))
    text = file.read_text()
    files = f'[candidates.dump]\nbackend = "files"\noptions = {{ folder = "{named}" }}\n\n[report]'
    file.write_text(text.replace("[report]", files))
    run(load_config(file), candidates=["dump"], cases=["case0"])
    (again,) = run(load_config(file), candidates=["dump"], cases=["case0"]).comparisons
    assert again.capture.reused
    np.save(folder / "layer0.npy", np.arange(8.0)[::-1])
    (changed,) = run(load_config(file), candidates=["dump"], cases=["case0"]).comparisons
    assert not changed.capture.reused


def test_what_options_name_further_down_counts_too(project: Project) -> None:
    file = project()
    folder = file.parent / "dumps"
    folder.mkdir()
    np.save(folder / "layer0.npy", np.arange(8.0))
    (folder.parent / "skipped.txt").write_text("1")
    options = '{ folder = "dumps", ignore = ["skipped.txt"] }'
    files = f'[candidates.dump]\nbackend = "files"\noptions = {options}\n\n[report]'
    file.write_text(file.read_text().replace("[report]", files))
    run(load_config(file), candidates=["dump"], cases=["case0"])
    (again,) = run(load_config(file), candidates=["dump"], cases=["case0"]).comparisons
    assert again.capture.reused
    (folder.parent / "skipped.txt").write_text("2")
    (changed,) = run(load_config(file), candidates=["dump"], cases=["case0"]).comparisons
    assert not changed.capture.reused


def test_a_store_that_cannot_be_written_is_an_error(project: Project) -> None:
    file = project()
    (file.parent / ".parity").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written"):
        run(load_config(file), candidates=["clean"], cases=["case0"])
