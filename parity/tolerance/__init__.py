"""What counts as equal: rules over taps, presets, noise floors by dtype, and verdicts.

`judge` turns metrics, a noise floor a tap and a rule a tap into verdicts; `inconclusive` says when
even agreement would show nothing.
"""

from parity.tolerance.floors import DRIFT_LIMIT, dtype_floor
from parity.tolerance.judge import Judgement, inconclusive, judge
from parity.tolerance.rule import Rule
from parity.tolerance.rules import PRESETS, Tolerance, build_rule, parse_rule, preset
from parity.tolerance.verdict import Verdict

__all__ = [
    "DRIFT_LIMIT",
    "PRESETS",
    "Judgement",
    "Rule",
    "Tolerance",
    "Verdict",
    "build_rule",
    "dtype_floor",
    "inconclusive",
    "judge",
    "parse_rule",
    "preset",
]
