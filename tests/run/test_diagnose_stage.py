"""`parity run` says why, where the reference can be run again, and does without where not."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from parity.diagnose import Verdict
from parity.diffing import Outcome
from parity.errors import ConfigError
from parity.run import Comparison, load_config, run
from parity.run.machine import to_json
from parity.run.references import References
from parity.run.screen import screen
from tests_text import text_of
from tests_torch import CONFIG, write_project

Project = Callable[..., Path]


@pytest.fixture
def torch_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Writes the small torch model and its configuration into a folder, and goes there."""

    def make(config: str = CONFIG) -> Path:
        file = write_project(tmp_path, config)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "small_model", raising=False)
        return file

    return make


def only(file: Path, candidate: str, case: str = "short") -> Comparison:
    (comparison,) = run(load_config(file), candidates=[candidate], cases=[case]).comparisons
    return comparison


def test_a_broken_candidate_is_diagnosed(torch_project: Project) -> None:
    comparison = only(torch_project(), "gelu")
    found = comparison.diagnosis
    assert found is not None
    assert found.verdict is Verdict.EXPLAINED
    (finding,) = found.findings
    assert (finding.cause, finding.candidate) == ("activation.function", "GELU(erf)")
    assert [site.path for site in finding.sites] == ["net.0.act", "net.1.act"]
    assert found.output == "logits"
    assert comparison.undiagnosed == ""
    assert comparison.exit_status == 1


def test_what_nothing_explains_is_said(torch_project: Project) -> None:
    found = only(torch_project(), "odd").diagnosis
    assert found is not None
    assert found.verdict is Verdict.UNEXPLAINED
    assert found.unexplained[0].tap == "net.1.act"


def test_a_candidate_that_is_right_is_not_diagnosed(torch_project: Project) -> None:
    comparison = only(torch_project(), "clean")
    assert comparison.diff is not None
    assert comparison.diff.outcome is Outcome.HOLDS
    assert (comparison.diagnosis, comparison.undiagnosed) == (None, "")


def test_the_diagnosis_is_on_the_screen_and_in_every_report(torch_project: Project) -> None:
    result = run(load_config(torch_project()), candidates=["gelu"])
    shown = text_of(screen(result))
    assert shown.index("Parity does not hold") < shown.index("The difference is explained: 1 cause")
    assert "GELU(erf) instead of ELU(alpha=1.0)" in shown
    (entry,) = json.loads(to_json(result))["comparisons"]
    assert entry["diagnosis"]["findings"][0]["family"] == "activation"
    assert entry["undiagnosed"] == ""
    for path in result.comparisons[0].reports.values():
        assert "GELU(erf)" in path.read_text()


def test_the_reference_is_built_once_a_run(
    torch_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    original = References._built

    def counting(self: References) -> object:
        built.append(self._backend)
        return original(self)

    monkeypatch.setattr(References, "_built", counting)
    file = torch_project()
    run(load_config(file), candidates=["gelu", "odd"])
    assert built == [None]  # the second candidate of a case even shares the trace


def test_the_configuration_turns_it_off(torch_project: Project) -> None:
    file = torch_project(CONFIG + "\n[diagnose]\nenabled = false\n")
    comparison = only(file, "gelu")
    assert (comparison.diagnosis, comparison.undiagnosed) == (None, "")


def test_a_misspelt_key_is_an_error(torch_project: Project) -> None:
    file = torch_project(CONFIG + "\n[diagnose]\nsecond = 3\n")
    with pytest.raises(ConfigError, match="second"):
        load_config(file)


def test_no_time_is_no_search(torch_project: Project) -> None:
    found = only(torch_project(CONFIG + "\n[diagnose]\nseconds = 0.0\n"), "gelu").diagnosis
    assert found is not None
    assert not found.findings
    assert found.verdict is Verdict.UNEXPLAINED


def test_a_backend_that_only_dumps_is_compared_all_the_same(project: Project) -> None:
    comparison = only(project(), "scaled", "case0")
    assert comparison.diff is not None
    assert comparison.diagnosis is None
    assert "only dumps tensors" in comparison.undiagnosed
    result = run(load_config(), candidates=["scaled"], cases=["case0"])
    assert "no diagnosis: the reference's backend, 'toy_subject:Toy', only" in text_of(
        screen(result)
    )


def test_a_diagnosis_that_fails_leaves_the_diff(torch_project: Project) -> None:
    stumbling = CONFIG.replace("small_model:Program", "small_model:Stumbling", 1)
    result = run(load_config(torch_project(stumbling)), candidates=["gelu"])
    (comparison,) = result.comparisons
    assert comparison.diff is not None
    assert comparison.exit_status == 1
    assert comparison.diagnosis is None
    assert comparison.undiagnosed.startswith(
        "the diagnosis failed with ValueError: the second run is not like the first ("
    )
    assert "small_model.py" in comparison.undiagnosed
    assert "no diagnosis: the diagnosis failed with ValueError" in text_of(screen(result))
    assert json.loads(to_json(result))["comparisons"][0]["diagnosis"] is None
    assert comparison.reports["json"].exists()
