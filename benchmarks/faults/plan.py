"""Which trials the bench makes. Everything random comes from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

from benchmarks.faults.planted import Pair
from benchmarks.faults.trial import SUBJECTS, Setup, pair_of

__all__ = ["CLEAN", "SINGLE", "STACKED", "all_setups"]

SEED = 20261125
SINGLE, STACKED, CLEAN = "single, all modules", "3 to 8 at once, all modules", "clean"
SAMPLE = 5  # single faults a subject under each further condition
CLEAN_RUNS = 300
STACKS = 20


def all_setups(subjects: Sequence[str] = SUBJECTS) -> list[Setup]:
    """All trials, in the order of the table."""
    chance = random.Random(SEED)  # noqa: S311 - a fixed choice, not a secret
    pairs = {subject: pair_of(subject) for subject in subjects}
    setups = [s for subject, pair in pairs.items() for s in _singles(subject, pair)]
    for subject, pair in pairs.items():
        setups += _conditions(subject, pair, chance)
    setups += _stacks(pairs, chance)
    return setups + _clean(pairs)


def _singles(subject: str, pair: Pair) -> Iterator[Setup]:
    for fault in pair.faults:
        yield Setup(subject, (fault.name,), condition=SINGLE)


def _conditions(subject: str, pair: Pair, chance: random.Random) -> Iterator[Setup]:
    names = [fault.name for fault in pair.faults]

    def some() -> list[str]:
        return chance.sample(names, min(SAMPLE, len(names)))

    for count, label in ((2, "2 at once"), (3, "3 at once")):
        for _ in range(SAMPLE):
            yield Setup(subject, _stack(pair, count, chance), condition=f"{label}, all modules")
    for taps, label in (("blocks", "single, block outputs"), ("output", "single, final output")):
        for name in some():
            yield Setup(subject, (name,), taps=taps, condition=label)
    for precision in ("float16", "bfloat16"):
        for name in some():
            yield Setup(
                subject, (name,), precision=precision, condition=f"single, {precision} port"
            )
    for name in some():
        yield Setup(subject, (name,), renamed=True, condition="single, renamed taps")


def _stack(pair: Pair, count: int, chance: random.Random) -> tuple[str, ...]:
    """Faults that can be on together."""
    names = [fault.name for fault in pair.faults]
    chance.shuffle(names)
    chosen: list[str] = []
    for name in names:
        if all(frozenset((name, other)) not in pair.conflicts for other in chosen):
            chosen.append(name)
        if len(chosen) == count:
            break
    return tuple(sorted(chosen))


def _stacks(pairs: dict[str, Pair], chance: random.Random) -> Iterator[Setup]:
    subjects = list(pairs)
    for number in range(STACKS):
        subject = subjects[number % len(subjects)]
        count = chance.randint(3, 8)
        yield Setup(subject, _stack(pairs[subject], count, chance), condition=STACKED)


def _clean(pairs: dict[str, Pair]) -> list[Setup]:
    """Every clean variant in every precision on every case, cut or repeated to the count."""
    setups = []
    for subject, pair in pairs.items():
        for variant, precision, taps, case in product(
            ("", *pair.variants),
            ("float32", "float16", "bfloat16"),
            ("modules", "blocks"),
            range(len(pair.cases)),
        ):
            setups.append(Setup(subject, (), taps, precision, variant, case=case, condition=CLEAN))
    chance = random.Random(SEED)  # noqa: S311
    chance.shuffle(setups)
    return setups[:CLEAN_RUNS]
