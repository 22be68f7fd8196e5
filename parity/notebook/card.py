"""The one shape of everything that is displayed: a sentence, facts, a picture, a table, notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from parity.report.words import printable

__all__ = ["Card", "Table", "render"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading; the first column names the row.

    Attributes:
        caption: one line above the rows.
        header: a title a column.
        rows: texts, as many as there are titles.
        failing: the numbers of the rows that are to stand out.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    failing: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown.

    Attributes:
        headline: what it says, in a sentence.
        tone: `good`, `bad`, `warn` or `plain`.
        facts: label and text.
        picture: an SVG element of our own drawing; empty for none.
        picture_says: the picture in words.
        table: at most one.
        notes: sentences below.
    """

    headline: str
    tone: str = "plain"
    facts: Sequence[tuple[str, str]] = ()
    picture: str = ""
    picture_says: str = ""
    table: Table | None = None
    notes: Sequence[str] = ()


def render(card: Card) -> str:
    """The card as an element with its style; every text in it is escaped."""
    # Our own drawing, in which matplotlib has escaped what text there is.
    picture = Markup(card.picture)  # noqa: S704
    return _template().render(card=card, picture=picture)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("parity.notebook"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = lambda text: printable(str(text))
    return environment.get_template("card.html")
