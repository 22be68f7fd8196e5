"""What the outcomes of the fault bench come to: counts, and the tables of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import median
from typing import Any

from benchmarks.faults.plan import CLEAN, SINGLE
from benchmarks.faults.planted import Fault, Pair
from benchmarks.faults.trial import LEAST_RESIDUAL, Outcome

__all__ = ["BEGIN", "END", "Counts", "Tables", "insert", "share"]

BEGIN, END = "<!-- table -->", "<!-- /table -->"
_ORIGINS = "The same by who planted them:"
Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts over some outcomes. Faults are counted one by one, also those that are on together.

    Attributes:
        trials: outcomes.
        problems: those without a diagnosis; their faults count as not found.
        faults: switches that were on.
        site: of them, how many have a finding, or an unexplained tap, at their place.
        top1: how many of them have their cause named first.
        top3: how many of them have their cause among the first three.
        with_value: how many of them have a number that can be solved for.
        named_value: how many of those have their cause named first.
        value: how many of those have their number to 10 %.
        high: findings that are graded high.
        right_high: those that name a fault that was on.
        quiet: trials without a finding that is graded high and without a refused output.
        no_high: trials without a finding that is graded high.
        accepted: trials whose output is not refused.
        no_finding: trials without any finding.
        seconds: all durations that are known, sorted.
    """

    trials: int = 0
    problems: int = 0
    faults: int = 0
    site: int = 0
    top1: int = 0
    top3: int = 0
    with_value: int = 0
    named_value: int = 0
    value: int = 0
    high: int = 0
    right_high: int = 0
    quiet: int = 0
    no_high: int = 0
    accepted: int = 0
    no_finding: int = 0
    seconds: tuple[float, ...] = field(default=(), repr=False)

    def as_json(self) -> dict[str, Any]:
        """The counts, with the median and the longest duration for the list of all."""
        fields = asdict(self)
        seconds = fields.pop("seconds")
        fields["median_seconds"] = round(median(seconds), 1) if seconds else None
        fields["worst_seconds"] = round(seconds[-1], 1) if seconds else None
        return fields


@dataclass(frozen=True)
class Tables:
    """The tables over all outcomes that there are.

    Attributes:
        outcomes: in the order of the plan.
        pairs: the subjects, by name.
        planned: how many trials the plan has.
    """

    outcomes: Sequence[Outcome]
    pairs: Mapping[str, Pair]
    planned: int

    @cached_property
    def _faults(self) -> dict[tuple[str, str], Fault]:
        return {(name, f.name): f for name, pair in self.pairs.items() for f in pair.faults}

    def fault(self, outcome: Outcome, name: str) -> Fault:
        """A switch of an outcome's subject."""
        return self._faults[outcome.setup.subject, name]

    def count(self, outcomes: Iterable[Outcome]) -> Counts:
        """The counts over some outcomes."""
        some = list(outcomes)
        faults = [(o, self.fault(o, name)) for o in some for name in o.setup.faults]
        numbers = [(o, f) for o, f in faults if f.value is not None]
        good = [o for o in some if not o.problem]
        return Counts(
            trials=len(some),
            problems=len(some) - len(good),
            faults=len(faults),
            site=sum(o.site.get(f.name, False) for o, f in faults),
            top1=sum(o.top1.get(f.name, False) for o, f in faults),
            top3=sum(o.top3.get(f.name, False) for o, f in faults),
            with_value=len(numbers),
            named_value=sum(o.top1.get(f.name, False) for o, f in numbers),
            value=sum(o.value.get(f.name, False) for o, f in numbers),
            high=sum(o.high for o in some),
            right_high=sum(o.high - len(o.wrong_high) for o in some),
            quiet=sum(o.gate and not o.high for o in good),
            no_high=sum(not o.high for o in good),
            accepted=sum(o.gate for o in good),
            no_finding=sum(not o.findings for o in good),
            seconds=tuple(sorted(o.seconds for o in some if o.seconds == o.seconds)),
        )

    def by(self, of: Callable[[Outcome], str], outcomes: Iterable[Outcome]) -> dict[str, Counts]:
        """The counts by some property of the outcomes, in the order in which it takes values."""
        groups: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            groups.setdefault(of(outcome), []).append(outcome)
        return {name: self.count(some) for name, some in groups.items()}

    @property
    def conditions(self) -> dict[str, Counts]:
        """By condition."""
        return self.by(lambda o: o.setup.condition, self.outcomes)

    @property
    def singles(self) -> list[Outcome]:
        """The trials with one fault and all modules tapped."""
        return [o for o in self.outcomes if o.setup.condition == SINGLE]

    @property
    def clean(self) -> list[Outcome]:
        """The trials without a fault."""
        return [o for o in self.outcomes if o.setup.condition == CLEAN]

    @property
    def subjects(self) -> dict[str, Counts]:
        """Single faults by subject."""
        return self.by(lambda o: o.setup.subject, self.singles)

    @property
    def families(self) -> dict[str, Counts]:
        """Single faults by the family of their best name."""
        found = self.by(self._family, self.singles)
        return dict(sorted(found.items(), key=lambda item: -item[1].faults))

    def _family(self, outcome: Outcome) -> str:
        return self.fault(outcome, outcome.setup.faults[0]).causes[0].partition(".")[0]

    @property
    def kinds(self) -> dict[str, int]:
        """How many different faults there are, by what makes them different."""
        faults = [self.fault(o, name) for o in self.singles for name in o.setup.faults]
        return {
            "kinds": len({f.kind for f in faults}),
            "causes": len({f.causes[0] for f in faults}),
            "families": len({f.causes[0].partition(".")[0] for f in faults}),
            **{f"planted by {o}": n for o, n in sorted(Counter(f.origin for f in faults).items())},
        }

    @property
    def origins(self) -> dict[str, Counts]:
        """Single faults by who planted them."""
        return self.by(lambda o: self.fault(o, o.setup.faults[0]).origin, self.singles)

    @property
    def baselines(self) -> dict[str, tuple[int, int, int]]:
        """By simpler rule: what it finds, what the diagnosis finds there, and trials."""
        rules = list(dict.fromkeys(rule for o in self.outcomes for rule in o.baselines))
        found = {}
        for rule in rules:
            some = [o for o in self.singles if rule in o.baselines]
            theirs = sum(o.baselines[rule] for o in some)
            ours = [(o.top1 if rule == LEAST_RESIDUAL else o.site).values() for o in some]
            found[rule] = (theirs, sum(map(all, ours)), len(some))
        return found

    def as_json(self) -> dict[str, Any]:
        """All counts, for programs."""
        return {
            "planned": self.planned,
            "made": len(self.outcomes),
            "conditions": {name: c.as_json() for name, c in self.conditions.items()},
            "singles_by_subject": {name: c.as_json() for name, c in self.subjects.items()},
            "singles_by_family": {name: c.as_json() for name, c in self.families.items()},
            "clean_by_precision": {
                name: c.as_json()
                for name, c in self.by(lambda o: o.setup.precision, self.clean).items()
            },
            "singles_by_origin": {name: c.as_json() for name, c in self.origins.items()},
            "distinct": self.kinds,
            "baselines": {
                rule: {"found": theirs, "by_diagnosis": ours, "of": number}
                for rule, (theirs, ours, number) in self.baselines.items()
            },
        }

    def as_markdown(self) -> str:
        """What stands between the marks of the page."""
        parts = [self._made(), *self._sections(), *self._lists()]
        return "\n\n".join(part for part in parts if part)

    def _made(self) -> str:
        made = len(self.outcomes)
        if made == self.planned:
            return f"All {made:,} trials of the plan."
        return f"**{made:,} of the {self.planned:,} trials of the plan were made so far.**"

    def _sections(self) -> list[str]:
        faulty = {n: c for n, c in self.conditions.items() if c.faults}
        sections = []
        if faulty:
            sections += [
                "### By condition",
                _table(_HEAD, [_line(n, c) for n, c in faulty.items()]),
            ]
        if self.clean:
            sections += ["### Ports without a fault", self._clean_table()]
        if self.singles:
            sections += ["### Single faults, all modules tapped"]
            head = ("subject", *_HEAD[1:])
            sections += [_table(head, [_line(n, c) for n, c in self.subjects.items()])]
            if len(self.origins) > 1:
                sections += [
                    _ORIGINS,
                    _table(
                        ("planted by", *_HEAD[1:]),
                        [_line(f"`{n}`", c) for n, c in self.origins.items()],
                    ),
                ]
            sections += [self._kinds_text(), self._family_table()]
        if self.baselines:
            sections += ["### Beside simpler rules", self._baseline_table()]
        return sections

    def _clean_table(self) -> str:
        counts = self.by(lambda o: o.setup.precision, self.clean) | {"all": self.count(self.clean)}
        head = ("port", "trials", "no `high`, output accepted", "no `high`", "output accepted",
                "no finding at all", "seconds", "problems")  # fmt: skip
        rows = [
            (n, str(c.trials), share(c.quiet, c.trials), share(c.no_high, c.trials),
             share(c.accepted, c.trials), share(c.no_finding, c.trials), _seconds(c),
             str(c.problems))
            for n, c in counts.items()
        ]  # fmt: skip
        return _table(head, rows)

    def _kinds_text(self) -> str:
        kinds = self.kinds
        planted = ", ".join(
            f"{number} by `{name.removeprefix('planted by ')}`"
            for name, number in kinds.items()
            if name.startswith("planted by ")
        )
        return (
            f"{kinds['kinds']} different faults ({planted}), with {kinds['causes']} different best "
            f"names in {kinds['families']} families:"
        )

    def _family_table(self) -> str:
        head = ("family of the best name", "faults", "site", "cause first", "cause in three")
        return _table(
            head,
            [
                (f"`{n}`", str(c.faults), share(c.site, c.faults), share(c.top1, c.faults),
                 share(c.top3, c.faults))
                for n, c in self.families.items()
            ],
        )  # fmt: skip

    def _baseline_table(self) -> str:
        head = ("rule", "says", "right", "the diagnosis, same trials")
        return _table(
            head,
            [
                (r, "cause" if r == LEAST_RESIDUAL else "place", share(a, n), share(b, n))
                for r, (a, b, n) in self.baselines.items()
            ],
        )

    def _lists(self) -> list[str]:
        missed = [line for o in self.outcomes for line in self._missed(o)]
        failed = [f"{_where(o)}: {_code(o.problem)}" for o in self.clean if o.problem]
        wrong = [f"{_where(o)}: {_code(text)}" for o in self.outcomes for text in o.wrong_high]
        refused = [_where(o) for o in self.clean if not o.gate and not o.problem]
        return [
            _folded("Faults whose place or cause was missed", missed),
            _folded("Findings graded `high` that name no fault that was on", wrong),
            _folded("Clean ports whose output was refused", refused),
            _folded("Clean ports without a diagnosis", failed),
        ]

    def _missed(self, outcome: Outcome) -> Iterable[str]:
        for name in outcome.setup.faults:
            site, cause = outcome.site.get(name, False), outcome.top1.get(name, False)
            if site and cause:
                continue
            fault = self.fault(outcome, name)
            lost = " and ".join(w for w, ok in (("place", site), ("cause", cause)) if not ok)
            yield (
                f"{_where(outcome)}: {_code(name)}, {_plain(fault.kind)} "
                f"({', '.join(f'`{c}`' for c in fault.causes)}); {lost} missed. "
                f"Said: {_said(outcome)}"
            )


_HEAD = ("condition", "trials", "faults", "exact site", "cause first", "cause in first three",
         "values within 10 %", "`high` right", "seconds", "problems")  # fmt: skip


def _line(name: str, c: Counts) -> Row:
    values = share(c.value, c.named_value)
    if c.with_value != c.named_value:
        values += f"; {c.with_value} have one"
    return (
        name, str(c.trials), str(c.faults), share(c.site, c.faults), share(c.top1, c.faults),
        share(c.top3, c.faults), values, share(c.right_high, c.high), _seconds(c), str(c.problems),
    )  # fmt: skip


def share(count: int, of: int) -> str:
    """`93.5 % (29 of 31)`; what is cut off is never rounded up."""
    if not of:
        return "-"
    tenths = 1000 * count // of
    percent = f"{tenths // 10}.{tenths % 10}" if tenths % 10 else str(tenths // 10)
    return f"{percent} % ({count:,} of {of:,})"


def _seconds(counts: Counts) -> str:
    if not counts.seconds:
        return "-"
    return f"{median(counts.seconds):.0f}, at most {counts.seconds[-1]:.0f}"


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _where(outcome: Outcome) -> str:
    setup = outcome.setup
    parts = [setup.subject, setup.condition]
    if not setup.faults:
        parts += [setup.precision, setup.taps, setup.variant or "plain", f"case {setup.case}"]
    elif len(setup.faults) > 1:
        parts.append(f"with {' + '.join(setup.faults)}")
    return ", ".join(parts)


def _said(outcome: Outcome) -> str:
    if outcome.problem:
        return _code(outcome.problem)
    texts = [*outcome.findings[:4], *(f"unexplained: {text}" for text in outcome.unexplained[:2])]
    left = len(outcome.findings) + len(outcome.unexplained) - len(texts)
    said = "; ".join(_code(text) for text in texts) or f"nothing ({_code(outcome.verdict)})"
    return f"{said}; and {left} more" if left else said


def _code(text: str) -> str:
    """Text of others in a code span, which ends at no backtick of theirs."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def _plain(text: str) -> str:
    for sign in "\\`*_<>[]|":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())


def _folded(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    listed = "\n".join(f"- {item}" for item in items)
    return f"<details>\n<summary>{title} ({len(items):,})</summary>\n\n{listed}\n\n</details>"


def insert(page: str, table: str) -> str:
    """The page with the table between its marks."""
    head, found, rest = page.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the page has no lines {BEGIN} and {END}, one after the other")
    return f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}"
