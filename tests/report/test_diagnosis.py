"""A diagnosis reads like a colleague, says the same everywhere, and cannot be broken out of."""

import json
import math
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from parity.diagnose import Diagnosis, Finding, FindingSite, Grade, Unexplained, Verdict
from parity.diffing import diff
from parity.report.causes import cause_of, causes, equivalent_line, headline, output_line, rests
from parity.report.diagnosis import DiagnosisScreen
from parity.report.diagnosis_json import diagnosis_to_json
from parity.report.diagnosis_markdown import diagnosis_to_markdown
from parity.report.files import RENDERERS, render
from parity.report.html import diagnosis_fragment, diagnosis_page
from parity.report.numbers import percent
from parity.report.places import short_list
from tests_text import text_of

HOSTILE = "</code><script>alert(1)</script>|`[x](javascript:y)\x00\x1b[31m\n# up"


def site(path: str, **given: Any) -> FindingSite:
    known = {
        "operation": "", "tap": path, "phase": "decode", "call": 2, "source": "seanet.py:31",
        "error": 0.45, "left": 3e-7, "calls": 3,
    }  # fmt: skip
    return FindingSite(path, **(known | given))


def finding(**given: Any) -> Finding:
    known = {
        "rank": 1, "family": "activation", "parameter": "function", "reference": "ELU(alpha=1.0)",
        "candidate": "GELU(erf)", "grade": Grade.HIGH, "floor": 6e-7, "alpha": 1.0,
        "alpha_se": 1e-8, "explained_local": 1.0, "explained_output": 0.64,
        "sites": tuple(site(f"mimi.decoder.model.{i}") for i in range(20)),
        "evidence": ("checked at 60 calls",),
    }  # fmt: skip
    return Finding(**(known | given))


def diagnosis(*findings: Finding, **given: Any) -> Diagnosis:
    known = {
        "verdict": Verdict.EXPLAINED, "output": "waveform", "output_error": 0.2,
        "output_left": 0.12, "compared": 1234, "seconds": 2.04,
        "facts": {"precision": "float32", "not_comparable": 3},
    }  # fmt: skip
    return Diagnosis(findings=findings, **(known | given))


@pytest.fixture
def rich() -> Diagnosis:
    """One of everything."""
    second = finding(
        rank=2, family="norm", parameter="eps", reference="1e-05", candidate="0.001", value=1e-3,
        grade=Grade.WORTH_TRYING, explained_output=math.nan, alpha=math.nan, alpha_se=math.nan,
        sites=(site("lm.layers.0.norm", error=6e-4, left=4e-5),),
        exceptions=tuple(f"lm.layers.{i}.norm" for i in range(1, 12)),
        alternatives=("norm.kind: RMSNorm for LayerNorm", "norm.bias: no bias for a bias"),
    )  # fmt: skip
    third = finding(
        rank=3, family="weights", parameter="permuted", reference="as stored",
        candidate="reordered", grade=Grade.SPECULATIVE, explained_output=-0.12,
        sites=(site("lm.out", operation="linear", left=0.3),),
    )  # fmt: skip
    left = [
        Unexplained(f"lm.blocks.{i}.attn", "generate", 4, 0.02 * (i + 1), 6e-7, calls=5,
                    nearest="rope.theta: 1e+06 for 1e+04", nearest_explains=0.31,
                    description="along axis 2 from index 7 on",
                    decides="a prompt of more than 64 tokens")
        for i in range(3)
    ]  # fmt: skip
    return diagnosis(
        finding(), second, third,
        verdict=Verdict.PARTLY_EXPLAINED, unexplained=tuple(left),
        equivalent=("lm.layers.0.q", "lm.layers.0.k"), notes=("taps were renamed",),
    )  # fmt: skip


SCREEN = """\
✗ The difference is explained in part: 3 causes, of which 1 is sure. 3 taps differ for a reason
that was not found.

  1. high          GELU(erf) instead of ELU(alpha=1.0)  activation.function
                   at mimi.decoder.model.* (20 sites)
                   Put into the reference, it reproduces the candidate there to 3.0e-07 and
                   explains 64 % of the squared error at waveform.
                   ━━━━━━━━━━━━━━━━┄┄┄┄┄┄┄┄
                   first seen at mimi.decoder.model.0, call 2 of decode, seanet.py:31

  2. worth trying  probably 0.001 instead of 1e-05  norm.eps
                   at lm.layers.0.norm, but not at 11 others like it
                   Put into the reference, it would take the error there from 6.0e-04 to
                   4.0e-05.
                   On these inputs it cannot be told apart from norm.kind: RMSNorm for
                   LayerNorm; or from norm.bias: no bias for a bias.
                   first seen at lm.layers.0.norm, call 2 of decode, seanet.py:31

  3. speculative   perhaps reordered instead of as stored  weights.permuted
                   at lm.out::linear
                   Put into the reference, it would take the error there from 4.5e-01 to 3.0e-01
                   and make the squared error at waveform 12 % larger, for it makes up for
                   another fault. Only a signature speaks for it.
                   first seen at lm.out, call 2 of decode, seanet.py:31

  not explained    lm.blocks.*.attn (3 taps) differ by up to 6.0e-02 on the candidate's own
                   inputs, where rounding explains 6.0e-07, at 15 calls, first at call 4 of
                   generate.
                   Nearest is rope.theta: 1e+06 for 1e+04, which explains 31 % of it.
                   What it looks like: along axis 2 from index 7 on.
                   What would decide: a prompt of more than 64 tokens.

  lm.layers.0.q and lm.layers.0.k differ without consequence: what is computed from them comes
  out right, so this is another way to write the same.
  The output, waveform, is off by 2.0e-01; with the findings put into the reference, by 1.2e-01.

  in 2.0 s: 1,234 tensors recomputed from the candidate's own inputs; 3 could not be, for want
  of an input; the candidate computes in float32
  note: taps were renamed
"""


def test_the_screen_says_it_all(rich: Diagnosis) -> None:
    shown = "\n".join(
        line.rstrip() for line in text_of(DiagnosisScreen(rich), width=96).splitlines()
    )
    assert shown + "\n" == SCREEN


def test_markdown_says_it_too(rich: Diagnosis) -> None:
    text = diagnosis_to_markdown(rich, title="port")
    assert text.startswith(
        "## port\n\n**The difference is explained in part: 3 causes, of which 1 is sure. "
        "3 taps differ for a reason that was not found.**\n\n"
        "1. **high**, activation.function: **GELU(erf) instead of ELU(alpha=1.0)**, "
        "at mimi.decoder.model.\\* (20 sites). Put into the reference, it reproduces the candidate "
        "there to 3.0e-07 and explains 64 % of the squared error at waveform.\n"
        "   - first seen at mimi.decoder.model.0, call 2 of decode, seanet.py:31\n"
        "   - checked at 60 calls\n\n2. **worth trying**, norm.eps: "
    )
    assert (
        "\nNot explained:\n\n- **lm.blocks.\\*.attn (3 taps)** differ by up to 6.0e-02 on " in text
    )
    assert text.endswith("float32\n- taps were renamed\n")


def test_json_is_as_documented(rich: Diagnosis) -> None:
    document = json.loads(diagnosis_to_json(rich), parse_constant=pytest.fail)
    assert (document["format"], document["version"]) == ("parity-diagnosis", 1)
    assert (document["verdict"], document["exit_status"]) == ("partly_explained", 1)
    first, second, _ = document["findings"]
    assert first["site"] == {
        "tap": "mimi.decoder.model.0", "phase": "decode", "call": 2, "source": "seanet.py:31",
        "path": "mimi.decoder.model.0", "operation": "",
    }  # fmt: skip
    known = {
        "rank": 1, "family": "activation", "parameter": "function", "reference": "ELU(alpha=1.0)",
        "candidate": "GELU(erf)", "grade": "high", "alpha": 1.0, "alpha_se": 1e-8,
        "explained_local": 1.0, "explained_output": 0.64, "evidence": ["checked at 60 calls"],
        "exceptions": [], "alternatives": [], "value": None, "floor": 6e-7,
    }  # fmt: skip
    assert {name: first[name] for name in known} == known
    assert [one["path"] for one in first["sites"]] == [f"mimi.decoder.model.{i}" for i in range(20)]
    assert first["sites"][0]["left"] == 3e-7
    assert first["sentence"].startswith("1. high, activation.function: GELU(erf) instead of ")
    assert (second["alpha"], second["explained_output"], second["value"]) == (None, None, 1e-3)
    assert len(second["exceptions"]) == 11
    assert document["unexplained"][0]["tap"] == "lm.blocks.0.attn"
    assert document["unexplained"][0]["decides"] == "a prompt of more than 64 tokens"
    assert document["equivalent"] == ["lm.layers.0.q", "lm.layers.0.k"]
    assert (document["output"], document["output_error"], document["output_left"]) == (
        "waveform", 0.2, 0.12,
    )  # fmt: skip
    assert document["facts"] == {"precision": "float32", "not_comparable": 3}


def test_no_number_that_json_lacks_comes_through() -> None:
    lost = Unexplained("x", "", 0, math.inf, math.nan)
    odd = diagnosis(
        finding(sites=(site("a", error=math.inf, left=math.nan),)), unexplained=(lost,),
        output_error=math.nan, output_left=-math.inf, facts={"deep": [{"nan": math.nan}]},
    )  # fmt: skip
    document = json.loads(diagnosis_to_json(odd), parse_constant=pytest.fail)
    assert document["unexplained"][0]["error"] is None
    assert document["findings"][0]["sites"][0]["left"] is None
    assert document["facts"] == {"deep": [{"nan": None}]}
    (rest,) = rests(odd)
    assert rest.what.startswith("differs in shape, NaN or infinity on the candidate's own inputs")
    assert output_line(odd) == ""


@pytest.mark.parametrize(
    ("verdict", "findings", "words"),
    [
        (Verdict.NO_FAULT, 0, "No fault found: 1,234 tensors, recomputed by the reference from the "
         "candidate's own inputs, come out the same."),
        (Verdict.INCONCLUSIVE, 0, "Nothing is wrong with 1,234 tensors that the candidate "
         "recorded, but its run did not come to its end."),
        (Verdict.EXPLAINED, 1, "The difference is explained: 1 cause."),
        (Verdict.EXPLAINED, 3, "The difference is explained: 3 causes."),
        (Verdict.UNEXPLAINED, 0, "The candidate differs, and no cause that we know of explains it. "
         "1 tap differs for a reason that was not found."),
        (Verdict.INVALID, 0, "Nothing can be concluded: no tensor of the candidate could be "
         "recomputed by the reference."),
    ],
)  # fmt: skip
def test_the_headline_is_one_or_two_sentences(verdict: Verdict, findings: int, words: str) -> None:
    rest = (Unexplained("a", "", 0, 0.1, 1e-7),) if verdict is Verdict.UNEXPLAINED else ()
    made = diagnosis(*[finding()] * findings, verdict=verdict, unexplained=rest)
    assert headline(made) == words


def test_unsure_causes_are_not_counted_as_sure() -> None:
    guess = finding(grade=Grade.SPECULATIVE)
    made = diagnosis(guess, verdict=Verdict.PARTLY_EXPLAINED)
    assert headline(made) == "The difference is explained in part: 1 cause, not sure."
    (cause,) = causes(made)
    assert cause.what == "perhaps GELU(erf) instead of ELU(alpha=1.0)"
    assert cause.effect.startswith("Put into the reference, it would reproduce the candidate")
    assert cause.effect.endswith("Only a signature speaks for it.")


def test_causes_that_one_tap_needs_together_say_so() -> None:
    one = finding(sites=(site("lm.mlp", left=0.0),))
    two = finding(rank=2, family="norm", parameter="eps", sites=(site("lm.norm", tap="lm.mlp"),))
    first, second = causes(diagnosis(one, two))
    assert first.effect.startswith("Together with 2 it reproduces the candidate there exactly")
    assert second.effect.startswith("Together with 1 it reproduces the candidate there to 3.0e-07")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["a.b"], "a.b"),
        (["a.0.x", "a.0.x"], "a.0.x"),
        (["a.0.x", "a.11.x"], "a.*.x (2 sites)"),
        (["a.0.b.0", "a.0.b.1"], "a.0.b.* (2 sites)"),
        (["a.0::add", "a.1::add", "out"], "a.*::add and out (3 sites)"),
        (["a.0::add.1", "a.0::add.2"], "a.0::add.* (2 sites)"),
        (["m.a", "m.b.c", "m.d", "m.e.0"], "m.* (4 sites)"),
        (["a", "b", "c", "d"], "a, b, c and elsewhere (4 sites)"),
        (["h2.norm", "h3.norm"], "h2.norm and h3.norm"),
    ],
)
def test_many_places_are_few_words(paths: list[str], words: str) -> None:
    assert short_list(paths) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100 %"), (0.9999, "more than 99 %"), (0.64, "64 %"), (1e-4, "less than 1 %"),
     (0.0, "0 %"), (-0.12, "−12 %"), (math.nan, "–")],
)  # fmt: skip
def test_nearly_all_is_not_all(share: float, words: str) -> None:
    assert percent(share) == words


def test_an_operation_outside_all_modules_has_a_place() -> None:
    where = [
        cause_of(finding(sites=(one,)), diagnosis()).where
        for one in (site("", operation="softmax"), site("", tap="waveform"), site("", tap=""))
    ]
    assert where == ["at ::softmax", "at waveform", "at the program itself"]


def test_what_differs_without_consequence_is_said() -> None:
    line = equivalent_line(diagnosis(equivalent=tuple(f"l.{i}.q" for i in range(4))))
    assert line.startswith("l.*.q (4 taps) differ without consequence: ")
    assert equivalent_line(diagnosis(equivalent=("q",))).startswith("q differs without")


@pytest.fixture
def hostile() -> Diagnosis:
    bad = finding(
        reference=HOSTILE, candidate=HOSTILE, family=HOSTILE, exceptions=(HOSTILE,),
        sites=(site(HOSTILE, operation=HOSTILE, phase=HOSTILE, source=HOSTILE),),
        alternatives=(HOSTILE,), evidence=(HOSTILE,),
    )  # fmt: skip
    lost = Unexplained(HOSTILE, HOSTILE, 0, 0.1, 1e-7, HOSTILE, 0.5, HOSTILE, 1, HOSTILE)
    return diagnosis(
        bad, unexplained=(lost,), equivalent=(HOSTILE,), output=HOSTILE, notes=(HOSTILE,),
        facts={"precision": HOSTILE},
    )  # fmt: skip


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


def test_hostile_names_stay_names(hostile: Diagnosis) -> None:
    shown = text_of(DiagnosisScreen(hostile))
    assert not {"\x00", "\x1b"} & set(shown)
    assert "\n# up" not in shown
    for page in (diagnosis_page({HOSTILE: hostile}, title=HOSTILE), diagnosis_fragment(hostile)):
        found = _Tags()
        found.feed(page)
        assert "script" not in found.tags
        assert "\x1b" not in page
    markdown = diagnosis_to_markdown(hostile, title=HOSTILE)
    assert "<script" not in markdown.replace("\\<", "")
    assert "](" not in markdown.replace("\\](", "")
    assert "\n#" not in markdown
    assert json.loads(diagnosis_to_json(hostile))["findings"][0]["site"]["tap"] == HOSTILE
    assert "\x1b" not in str(hostile)


def test_the_page_shows_every_card_and_runs_nothing(rich: Diagnosis) -> None:
    page = diagnosis_page({"port on alba": rich}, title="why")
    assert page.count("<article") == 4
    assert "default-src 'none'" in page
    assert "checked at 60 calls" in page
    assert "all 20 sites" in page
    assert "<h2>port on alba</h2>" in page


@pytest.mark.parametrize("kind", RENDERERS)
def test_a_report_of_a_diff_holds_the_diagnosis(kind: str, rich: Diagnosis) -> None:
    result = diff({"waveform": np.ones(9)}, {"waveform": np.arange(9.0)})
    text = render(result, kind, title="t", diagnosis=rich)
    assert ("GELU(erf)" in text) is (kind != "csv")
    assert "GELU(erf)" not in render(result, kind, title="t")


def test_a_diagnosis_displays_itself(rich: Diagnosis) -> None:
    assert str(rich).splitlines()[:2] == [
        "The difference is explained in part: 3 causes, of which 1 is sure. 3 taps differ for a "
        "reason that was not found.",
        "1. high, activation.function: GELU(erf) instead of ELU(alpha=1.0), "
        "at mimi.decoder.model.* (20 sites)",
    ]
    assert repr(rich).startswith("<Diagnosis: The difference is explained in part")
    assert "<style>" in rich._repr_html_()
    assert list(rich.to_frame()["family"]) == ["activation", "norm", "weights"]


def test_the_plot_has_a_bar_a_finding_and_one_for_what_is_left(rich: Diagnosis) -> None:
    axes = rich.plot()
    assert [round(bar.get_width()) for bar in axes.patches] == [64, 0, -12, 36]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["1. activation.function", "2. norm.eps", "3. weights.permuted", "left"]
    own = Figure().subplots()
    assert diagnosis(output="$x_{1").plot(own) is own
    assert isinstance(own.figure, Figure)
    own.figure.canvas.draw()  # a name is no formula


def test_a_verdict_has_an_exit_status() -> None:
    found = {verdict: verdict.exit_status for verdict in Verdict}
    assert found == {
        Verdict.NO_FAULT: 0, Verdict.EXPLAINED: 1, Verdict.PARTLY_EXPLAINED: 1,
        Verdict.UNEXPLAINED: 1, Verdict.INCONCLUSIVE: 3, Verdict.INVALID: 3,
    }  # fmt: skip
