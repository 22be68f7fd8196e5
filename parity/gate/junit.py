"""The gate's verdict as JUnit XML, which every CI system can show."""

from __future__ import annotations

from collections import defaultdict
from xml.etree import ElementTree as ET

from parity.gate.result import Failure, Forgiven, GateResult, Kind
from parity.gate.words import NAMES, headline, line
from parity.report.machine import xml_text
from parity.report.words import first_line, told
from parity.report.words import headline as diff_headline
from parity.run import Comparison

__all__ = ["to_junit"]

# What stands for the comparison, and for what belongs to none.
WHOLE, GATE = "verdict", "gate"


def to_junit(result: GateResult) -> str:
    """One suite a comparison with one test case a tap, and one for the gate as a whole.

    What is listed in the configuration is skipped, with its reason.
    """
    root = ET.Element("testsuites", name=xml_text(f"parity gate: {result.run.subject}"))
    counts = [_suite(root, comparison, result) for comparison in result.run.comparisons]
    pairs = {(c.case, c.candidate) for c in result.run.comparisons}
    others = [f for f in result.failures if (f.case, f.candidate) not in pairs]
    suite = ET.SubElement(root, "testsuite", name=GATE)
    case = ET.SubElement(suite, "testcase", classname=GATE, name=WHOLE, time="0")
    _fail(case, others)
    ET.SubElement(case, "system-out").text = xml_text(headline(result))
    counts.append(_count(suite))
    for name, total in zip(_COUNTED, zip(*counts, strict=True), strict=True):
        root.set(name, str(sum(total)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


_COUNTED = ("tests", "failures", "errors", "skipped")


def _suite(root: ET.Element, comparison: Comparison, result: GateResult) -> tuple[int, ...]:
    name = f"{comparison.candidate} on {comparison.case}"
    suite = ET.SubElement(root, "testsuite", name=xml_text(name))
    failures: dict[str, list[Failure]] = defaultdict(list)
    for failure in result.of(comparison.case, comparison.candidate):
        failures[failure.tap].append(failure)
    listed = {
        f.failure.tap: f
        for f in result.forgiven
        if (f.failure.case, f.failure.candidate) == (comparison.case, comparison.candidate)
    }
    diff = comparison.diff
    paths = dict.fromkeys(key.path for key in diff.table.keys) if diff is not None else {}
    whole = ET.SubElement(suite, "testcase", classname=xml_text(name), name=WHOLE, time="0")
    _fill(whole, failures.pop("", []), listed.get(""))
    if diff is not None:
        said = "\n".join(filter(None, (diff_headline(diff), first_line(diff), *told(diff))))
        ET.SubElement(whole, "system-out").text = xml_text(said)
    for path in dict.fromkeys((*paths, *failures)):
        case = ET.SubElement(suite, "testcase", classname=xml_text(name), name=xml_text(path),
                             time="0")  # fmt: skip
        _fill(case, failures.get(path, []), listed.get(path))
    return _count(suite)


def _fill(case: ET.Element, failures: list[Failure], listed: Forgiven | None) -> None:
    if failures:
        _fail(case, failures)
    elif listed is not None:
        reason = f"{listed.entry.reason} (until {listed.entry.until}): {line(listed.failure)}"
        ET.SubElement(case, "skipped", message=xml_text(reason))


def _fail(case: ET.Element, failures: list[Failure]) -> None:
    """An error for what could not be judged, a failure for what was and does not hold."""
    if not failures:
        return
    unusable = any(f.kind in {Kind.DID_NOT_RUN, Kind.INCONCLUSIVE} for f in failures)
    element = ET.SubElement(
        case,
        "error" if unusable else "failure",
        type=NAMES[failures[0].kind],
        message=xml_text(line(failures[0])),
    )
    element.text = xml_text("\n".join(line(failure) for failure in failures))


def _count(suite: ET.Element) -> tuple[int, ...]:
    found = (
        len(suite.findall("testcase")),
        len(suite.findall("testcase/failure")),
        len(suite.findall("testcase/error")),
        len(suite.findall("testcase/skipped")),
    )
    for name, count in zip(_COUNTED, found, strict=True):
        suite.set(name, str(count))
    return found
