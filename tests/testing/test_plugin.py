"""The pytest plugin in the hands of a small project, through pytest itself."""

import textwrap
from xml.etree import ElementTree as ET

import pytest

# pytester drops what a run within this process loads, and some of it cannot be loaded twice.
import parity.report.html
import parity.testing.fixture
import parity.testing.items
import parity.testing.written  # noqa: F401
from parity.cli.main import main

GOLDEN = """
    import numpy as np

    def layer(factor):
        return np.linspace(-1, 1, 12).reshape(3, 4) * factor

    def test_layer(parity):
        parity.check({"layer": layer(FACTOR)}, reference=lambda: {"layer": layer(1.0)})
"""

SUBJECT = """
    import numpy as np
    from parity.backends import Capabilities
    from parity.tensors import Role

    class Toy:
        def __init__(self, *, fault=""):
            self.name, self.fault = "toy", fault

        def capabilities(self):
            return Capabilities()

        def capture(self, case, plan, sink):
            x = np.random.default_rng(case.seed).standard_normal(8)
            for i in range(3):
                x = np.tanh(x * (i + 1)) * (1.01 if self.fault == "scale" and i == 1 else 1)
                if self.fault == "dies" and i == 2:
                    raise ValueError("no such layer")
                sink.record(f"layer{i}", x, role=Role.OUTPUT)
"""

CONFIG = """
    [subject]
    name = "toy"
    [[cases]]
    name = "one"
    seed = 1
    [[cases]]
    name = "two"
    seed = 2
    [reference]
    backend = "plugin_toy:Toy"
    isolate = false
    golden = "golden"
    [candidates.port]
    backend = "plugin_toy:Toy"
    isolate = false
    options = { fault = "FAULT" }
"""


def source(pytester: pytest.Pytester, text: str, **values: str) -> None:
    for name, value in values.items():
        text = text.replace(name, value)
    pytester.makepyfile(test_port=textwrap.dedent(text))


def project(pytester: pytest.Pytester, fault: str, extra: str = "") -> None:
    pytester.makepyfile(plugin_toy=textwrap.dedent(SUBJECT))
    text = textwrap.dedent(CONFIG).replace("FAULT", fault)
    (pytester.path / "parity.toml").write_text(text + textwrap.dedent(extra))


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Within this process, which has loaded what is slow to load."""
    return pytester.runpytest_inprocess("-p", "no:hypothesispytest", *arguments)


def run_alone(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A process of its own, as people have it."""
    return pytester.runpytest_subprocess("-p", "no:hypothesispytest", *arguments)


def test_a_golden_capture_is_created_only_when_asked_for(pytester: pytest.Pytester) -> None:
    source(pytester, GOLDEN, FACTOR="1.0")
    golden = pytester.path / "golden" / "test_port" / "test_layer.h5"

    missing = run(pytester)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(
        [
            "there is no golden capture golden/test_port/test_layer.h5",
            "  try: pytest --parity-create 'test_port.py::test_layer', where the reference can run",
        ]
    )
    assert not golden.exists()

    created = run(pytester, "--parity-create")
    created.assert_outcomes(failed=1)
    created.stdout.fnmatch_lines(["*golden capture was created, so nothing was compared: *"])
    created.stdout.fnmatch_lines(["*parity: golden captures written*", "golden/test_port/*.h5"])
    written = golden.read_bytes()

    run(pytester).assert_outcomes(passed=1)
    run(pytester, "--parity-create").assert_outcomes(passed=1)
    assert golden.read_bytes() == written


SEVERAL = """
    import numpy as np

    def layer(factor):
        return {"layer": np.linspace(-1, 1, 12) * factor}

    def test_two(parity):
        for name in ("decoder", "encoder"):
            parity.check(layer(1.0), reference=lambda: layer(REFERENCE), name=name)

    class TestA:
        def test_layer(self, parity):
            parity.check(layer(2.0), reference=lambda: layer(2.0 * REFERENCE))

    class TestB:
        def test_layer(self, parity):
            parity.check(layer(3.0), reference=lambda: layer(3.0 * REFERENCE))
"""


def test_every_golden_capture_of_a_test_and_of_every_class_is_written_at_once(
    pytester: pytest.Pytester,
) -> None:
    source(pytester, SEVERAL, REFERENCE="1.0")
    run(pytester, "--parity-create").assert_outcomes(failed=3)
    folder = pytester.path / "golden" / "test_port"
    assert sorted(file.name for file in folder.iterdir()) == [
        "TestA.test_layer.h5",
        "TestB.test_layer.h5",
        "test_two.decoder.h5",
        "test_two.encoder.h5",
    ]
    run(pytester).assert_outcomes(passed=3)
    source(pytester, SEVERAL, REFERENCE="1.5")
    updated = run(pytester, "--parity-update", "-k", "two")
    updated.assert_outcomes(failed=1, deselected=2)
    updated.stdout.fnmatch_lines(
        [
            "the golden capture was updated, so nothing was compared: *test_two.decoder.h5",
            "the golden capture was updated, so nothing was compared: *test_two.encoder.h5",
            "  look at them (parity show), commit them, and run again without the option",
        ]
    )
    # What was replaced is another reference, for both names.
    run(pytester, "-k", "two").stdout.fnmatch_lines(["*two (decoder): Parity does not hold: *"])


def test_one_golden_capture_is_not_written_twice(pytester: pytest.Pytester) -> None:
    twice = GOLDEN + GOLDEN.splitlines()[-1]
    source(pytester, twice, FACTOR="1.0")
    result = run(pytester, "--parity-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_layer.h5 was written by this test already*"])


def test_a_port_that_differs_fails_with_the_whole_message(pytester: pytest.Pytester) -> None:
    source(pytester, GOLDEN, FACTOR="1.0")
    run(pytester, "--parity-create")
    source(pytester, GOLDEN, FACTOR="1.01")
    result = run(pytester, "--junitxml=found.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *test_layer: Parity does not hold: the one tensor on both sides differs too much.",
            "E *first divergence   layer (tap, call 0)",
            "E *likely cause       looks like the reference times 1.01",
            "E *look further       parity diff *golden/*/test_layer.h5 * --html report.html",
        ]
    )
    properties = {
        found.get("name"): found.get("value")
        for found in ET.parse(pytester.path / "found.xml").iter("property")
    }
    assert properties["parity.outcome"] == "broken"
    assert properties["parity.first_divergence"] == "layer"
    assert (properties["parity.rel_l2"], properties["parity.floor"]) == ("0.01", "1e-14")
    command = next(line for line in result.outlines if "parity diff" in line)
    words = command[command.index("diff") :].split()
    with pytest.raises(SystemExit) as status:
        main([*words[:3], "--json", "found.json"])
    assert status.value.code == 1


def test_a_golden_capture_is_updated_only_when_asked_for(pytester: pytest.Pytester) -> None:
    source(pytester, GOLDEN, FACTOR="1.0")
    run(pytester, "--parity-create")
    source(pytester, GOLDEN.replace("layer(1.0)", "layer(2.0)"), FACTOR="2.0")
    run(pytester).assert_outcomes(failed=1)
    run(pytester, "--parity-create").assert_outcomes(failed=1)
    updated = run(pytester, "--parity-update")
    updated.assert_outcomes(failed=1)
    updated.stdout.fnmatch_lines(["*the golden capture was updated, so nothing was compared: *"])
    run(pytester).assert_outcomes(passed=1)


def test_markers_give_options_and_cases(pytester: pytest.Pytester) -> None:
    source(pytester, """
        import numpy as np
        import pytest

        x = np.linspace(-1, 1, 12)

        @pytest.mark.parity(case="long", tolerance="story")
        def test_long(parity):
            parity.assert_parity(x, x * 1.01)

        @pytest.mark.parity(case="short")
        def test_short(parity):
            parity.assert_parity(x, x * 1.01)

        @pytest.mark.parity(tolerence="story")
        def test_misspelt(parity):
            parity.assert_parity(x, x)
    """)  # fmt: skip
    run(pytester, "--parity-case", "long", "-k", "not misspelt").assert_outcomes(
        passed=1, deselected=2
    )
    run(pytester, "-k", "short").assert_outcomes(failed=1, deselected=2)
    misspelt = run(pytester, "-k", "misspelt")
    misspelt.assert_outcomes(errors=1, deselected=2)
    misspelt.stdout.fnmatch_lines(["*pytest.mark.parity: there is no option 'tolerence'*"])


def test_a_report_is_written_beside_the_result(pytester: pytest.Pytester) -> None:
    source(pytester, """
        import numpy as np

        def test_it(parity):
            parity.assert_parity(np.arange(6.0), np.arange(6.0) * 2)
    """)  # fmt: skip
    run(pytester, "--parity-report=pages").assert_outcomes(failed=1)
    (page,) = (pytester.path / "pages").iterdir()
    assert "first divergence" in page.read_text(encoding="utf-8")


def test_a_failing_layer_is_a_failing_test_with_a_name(pytester: pytest.Pytester) -> None:
    project(pytester, "scale")
    first = run(pytester, "parity.toml", "--parity-create")
    first.assert_outcomes(failed=2)
    assert sorted(p.name for p in (pytester.path / "golden").iterdir()) == ["one.h5", "two.h5"]

    found = run(pytester, "parity.toml", "-rA")
    # On each of two cases: the verdict and layer0 pass, what follows the fault fails.
    found.assert_outcomes(passed=4, failed=4)
    found.stdout.fnmatch_lines(["PASSED parity.toml::one/port::layer0*"])
    found.stdout.fnmatch_lines(["FAILED parity.toml::one/port::layer1*"])
    found.stdout.fnmatch_lines(["*first divergence   layer1 (output, call 0)*"])

    again = run(pytester, "parity.toml::one/port::layer1")
    again.assert_outcomes(failed=1)
    run(pytester, "parity.toml", "--parity-items=case").assert_outcomes(failed=2)
    run(pytester, "parity.toml", "--parity-case=two").assert_outcomes(passed=2, failed=2)

    project(pytester, "")
    run(pytester, "parity.toml").assert_outcomes(passed=8)


def test_a_configuration_of_any_name_is_taken_when_it_is_named(pytester: pytest.Pytester) -> None:
    project(pytester, "")
    run(pytester, "parity.toml", "--parity-create")
    project(pytester, "scale")
    (pytester.path / "parity.toml").rename(pytester.path / "other.toml")
    run(pytester, "--parity", "--parity-items=case").assert_outcomes()
    found = run(pytester, "other.toml", "--parity-items=case", "--parity-case=one")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*parity run port --case one --config */other.toml*"])


def test_what_is_listed_is_an_expected_failure(pytester: pytest.Pytester) -> None:
    listed = """
        [[gate.expected]]
        tap = "layer1"
        reason = "#12: scaled"
        until = YEAR-01-01
    """
    project(pytester, "scale", listed.replace("YEAR", "2999"))
    run(pytester, "parity.toml", "--parity-create")
    found = run(pytester, "parity.toml", "-rx")
    found.assert_outcomes(passed=4, failed=2, xfailed=2)
    found.stdout.fnmatch_lines(["*#12: scaled*"])
    project(pytester, "scale", listed.replace("YEAR", "2020"))
    run(pytester, "parity.toml").assert_outcomes(passed=4, failed=4)


def test_what_is_listed_is_expected_of_whole_cases_too(pytester: pytest.Pytester) -> None:
    listed = """
        [[gate.expected]]
        tap = "TAP"
        reason = "#12: scaled"
        until = 2999-01-01
    """
    project(pytester, "scale", listed.replace("TAP", "layer[12]"))
    run(pytester, "parity.toml", "--parity-create")
    run(pytester, "parity.toml", "--parity-items=case").assert_outcomes(xfailed=2)
    project(pytester, "scale", listed.replace("TAP", "layer1"))
    counted = run(pytester, "parity.toml", "--parity-items=case")
    counted.assert_outcomes(failed=2)
    counted.stdout.fnmatch_lines(["*differs at         layer2 (output, call 0)*"])


def test_what_need_not_run_is_skipped(pytester: pytest.Pytester) -> None:
    listed = """
        [[gate.skip]]
        CASE
        reason = "#13: dies"
        until = 2999-01-01
    """
    project(pytester, "")
    run(pytester, "parity.toml", "--parity-create")
    project(pytester, "dies", listed.replace("CASE", 'case = "one"'))
    found = run(pytester, "parity.toml", "-rs")
    found.assert_outcomes(skipped=4, failed=4)
    found.stdout.fnmatch_lines(["*#13: dies, until 2999-01-01: *"])


def test_no_tap_passes_where_the_candidate_did_not_run(pytester: pytest.Pytester) -> None:
    project(pytester, "")
    run(pytester, "parity.toml", "--parity-create")
    project(pytester, "dies")
    found = run(pytester, "parity.toml", "--parity-case=one")
    found.assert_outcomes(failed=4)
    found.stdout.fnmatch_lines(["port did not run to its end", "*no such layer*"])


def test_a_missing_golden_capture_fails(pytester: pytest.Pytester) -> None:
    project(pytester, "")
    found = run(pytester, "parity.toml")
    found.assert_outcomes(failed=2)
    found.stdout.fnmatch_lines(["*there is no golden capture*"])


def test_a_configuration_that_is_wrong_is_an_error_of_collection(
    pytester: pytest.Pytester,
) -> None:
    project(pytester, "", "[tolerances]\n")
    found = run(pytester, "parity.toml")
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["error: *parity.toml: there is no key 'tolerances'"])


def test_a_misspelt_setting_is_an_error(pytester: pytest.Pytester) -> None:
    project(pytester, "")
    pytester.makeini("[pytest]\nparity_items = tapp")
    found = run(pytester, "parity.toml")
    found.assert_outcomes(errors=2)
    found.stdout.fnmatch_lines(["error: parity_items is 'tapp'", "  try: tap or case"])


def test_workers_share_the_work(pytester: pytest.Pytester) -> None:
    project(pytester, "scale")
    found = run_alone(pytester, "parity.toml", "-n", "2", "--parity-create")
    found.assert_outcomes(failed=2)
    found.stdout.fnmatch_lines(["*golden captures written*"])
    run_alone(pytester, "parity.toml", "-n", "2").assert_outcomes(passed=4, failed=4)


def test_a_configuration_is_left_alone_unless_it_is_named(pytester: pytest.Pytester) -> None:
    project(pytester, "")
    source(pytester, "def test_mine(): pass")
    run(pytester).assert_outcomes(passed=1)
    run(pytester, "--parity", "--collect-only", "-q").stdout.fnmatch_lines(["parity.toml::*"])
    pytester.makeini("[pytest]\nparity_collect = true")
    run(pytester, "--collect-only", "-q").stdout.fnmatch_lines(["parity.toml::*"])


def test_without_the_plugin_the_assertion_still_works(pytester: pytest.Pytester) -> None:
    source(pytester, """
        import numpy as np
        import parity

        def test_it():
            parity.assert_parity(np.arange(6.0), np.arange(6.0) * 2)
    """)  # fmt: skip
    result = run_alone(pytester, "-p", "no:parity")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *likely cause       looks like the reference times 2"])
    source(pytester, GOLDEN, FACTOR="1.0")
    run_alone(pytester, "-p", "no:parity").stdout.fnmatch_lines(["*fixture 'parity' not found*"])


def test_unused_the_plugin_says_nothing_and_loads_nothing(pytester: pytest.Pytester) -> None:
    source(pytester, """
        import sys

        def test_mine():
            ours = {name for name in sys.modules if name.startswith("parity")}
            assert ours == {"parity", "parity.pytest_plugin"}
            assert not {"h5py", "pandas", "matplotlib", "torch", "rich"} & set(sys.modules)
    """)  # fmt: skip
    result = run_alone(pytester, "-v")
    result.assert_outcomes(passed=1)
    assert not [line for line in result.outlines if "parity:" in line]
