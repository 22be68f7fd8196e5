"""One listening as a piece of HTML, for notebooks and pages; every name is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from parity.report.listening_plots import listening_svg
from parity.report.listening_words import headline, value_words
from parity.report.words import printable

if TYPE_CHECKING:
    from parity.audio import Listening

__all__ = ["listening_fragment", "listening_page"]

COLOURS = {"fail": "#c0392b", "warn": "#b7791f", "pass": "#2b7a78"}


def listening_fragment(listening: Listening) -> str:
    """Headline, table of the checks, pictures."""
    colour = COLOURS.get(str(listening.judgement), "#6b7280")
    head = Markup("<p style='font-weight:600;color:{}'>{}</p>").format(
        colour, printable(headline(listening))
    )
    rows = Markup("").join(_row(listening, index) for index in range(len(listening.checks)))
    table = Markup(
        "<table><thead><tr><th>layer</th><th>check</th><th>value</th><th>reference</th>"
        "<th>limit</th><th>verdict</th></tr></thead><tbody>{}</tbody></table>"
    ).format(rows)
    notes = Markup("").join(Markup("<p>{}</p>").format(printable(n)) for n in listening.notes)
    # Our own drawing: matplotlib escapes the text it holds.
    picture = Markup(listening_svg(listening))  # noqa: S704
    return str(Markup("<div class='parity-listening'>{}{}{}{}{}</div>").format(
        head, _heard(listening), notes, picture, table
    ))  # fmt: skip


def listening_page(listenings: Sequence[Listening]) -> str:
    """A page of its own: no script, no network."""
    sections = Markup("").join(
        Markup("<h2>{}</h2>{}").format(
            printable(one.title),
            Markup(listening_fragment(one)),  # noqa: S704 - escaped piece by piece
        )
        for one in listenings
    )
    return str(_PAGE.format(sections))


_PAGE = Markup("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What a listener hears</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}}
td,th{{padding:.1rem .8rem .1rem 0;text-align:left}}svg{{max-width:100%;height:auto}}</style>
</head><body>{}</body></html>
""")


def _row(listening: Listening, index: int) -> Markup:
    check = listening.checks[index]
    colour = COLOURS.get(str(check.judgement), "#6b7280")
    words = f"{check.judgement}, {check.words}" if check.words else str(check.judgement)
    return Markup(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td style='color:{}'>{}</td>"
        "</tr>"
    ).format(
        check.layer, check.name, value_words(check.value), value_words(check.reference),
        check.limit, colour, words,
    )  # fmt: skip


def _heard(listening: Listening) -> Markup:
    """What the recogniser understood, word by word."""
    if listening.speech is None:
        return Markup("")
    text = "\n\n".join(phrase.alignment for phrase in listening.speech.phrases)
    return Markup("<pre>{}</pre>").format(escape(printable(text)))
