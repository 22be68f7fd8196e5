"""`parity listen`: the audio layers on two files, or on two folders of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parity.cli.progress import Bar
from parity.errors import InputError

if TYPE_CHECKING:
    from parity.audio import Listening
    from parity.audio.speech import Speech

__all__ = ["command"]

SOUNDS = frozenset({".wav", ".flac", ".ogg", ".npy", ".h5", ".hdf5"})

EXAMPLES = """\b
Examples:
  parity listen reference.wav port.wav
  parity listen reference.wav port.wav --text 'The quick brown fox.'
  parity listen reference/ port/ --texts phrases.toml --seeded
  parity listen reference.h5 port.h5 --tap waveform --sample-rate 24000 --frame 1920
  parity listen --alone port.wav --preset story
  parity listen reference.wav port.wav --text '...' --recogniser whisper:base.en.pt

\b
Exit status: 0 a listener hears no difference, 1 he does, 2 an input is unusable,
3 nothing can be concluded."""


@click.command("listen", epilog=EXAMPLES)
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path), required=False)
@click.option("--alone", is_flag=True, help="Examine one file, without a reference.")
@click.option("--text", help="What is said; a recogniser is asked for it.")
@click.option(
    "--texts", type=click.Path(path_type=Path), metavar="FILE",
    help="For folders: a TOML table or lines `name<TAB>text`.",
)  # fmt: skip
@click.option(
    "--recogniser", metavar="NAME", help="pocketsphinx, whisper:CHECKPOINT, or a plugged-in one."
)
@click.option("--normaliser", default="basic", show_default=True, help="Which words are equal.")
@click.option(
    "--seeded/--free", default=None,
    help="Both had the same random draws, or others; by default nobody knows.",
)  # fmt: skip
@click.option("--frame", type=click.IntRange(min=16), help="Samples of a decoder's frame.")
@click.option("--sample-rate", type=int, help="Of .npy files and captures, in hertz.")
@click.option("--tap", default="waveform", show_default=True, help="The sound in a capture.")
@click.option("--preset", default="full", show_default=True, help="Limits of health: full, story.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME.PART=VALUE",
    help="Another limit of health, such as rms.high=0.5. Can be repeated.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="Print every check.")
@click.option("--json", "json_", metavar="FILE", help="Write JSON; - for the standard output.")
@click.option("--html", metavar="FILE", help="Write a page with pictures.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Write a PNG.")
def command(reference: Path, candidate: Path | None, **options: Any) -> int:
    """Listen to CANDIDATE beside REFERENCE: two files, or two folders with files of equal names."""
    from parity.audio import Settings  # noqa: PLC0415 - keeps --help quick

    if options["alone"] == (candidate is not None):
        raise InputError("give REFERENCE and CANDIDATE, or one file with --alone")
    settings = Settings(
        frame=options["frame"],
        seeded=options["seeded"],
        preset=options["preset"],
        limits=_limits(options["limits"]),
    )
    if candidate is not None and reference.is_dir() and candidate.is_dir():
        pairs = _pairs(reference, candidate)
    else:
        _refuse_folder(reference, candidate)
        pairs = {"": (None if options["alone"] else reference, candidate or reference)}
    found = _listened(pairs, settings, options)
    speech = None
    texts = _texts(options, [name or reference.stem for name in pairs])
    if texts is not None:
        from parity.audio.speech import hear  # noqa: PLC0415

        with Bar("recognising"):
            heard = hear(found, texts, options["recogniser"], options["normaliser"],
                         seeded=bool(options["seeded"]))  # fmt: skip
        found, speech = list(heard.listenings), heard.speech
    _report(found, speech, options)
    return _status(found, speech)


def _limits(given: tuple[str, ...]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for text in given:
        try:
            name, value = text.split("=")
            measure, part = name.split(".")
            found.setdefault(measure, {})[part] = number = float(value)
            if math.isnan(number):
                raise ValueError
        except ValueError:
            raise InputError(
                f"{text!r} is no limit", where="--limit", hint="--limit rms.high=0.5"
            ) from None
    return found


def _refuse_folder(reference: Path, candidate: Path | None) -> None:
    for path in (reference, candidate):
        if path is not None and path.is_dir():
            raise InputError("is a folder", where=str(path), hint="give two files, or two folders")


def _pairs(reference: Path, candidate: Path) -> dict[str, tuple[Path | None, Path]]:
    """Files of equal names, without their endings; one that is missing is an error."""
    ours, theirs = (
        {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in SOUNDS}
        for folder in (reference, candidate)
    )
    missing = sorted(set(ours) - set(theirs))
    if missing or not ours:
        what = f"has no {', '.join(missing[:5])}" if missing else "nothing to listen to"
        raise InputError(what, where=str(candidate if missing else reference))
    return {name: (file, theirs[name]) for name, file in ours.items()}


def _listened(
    pairs: dict[str, tuple[Path | None, Path]], settings: Any, options: dict[str, Any]
) -> list[Listening]:
    from parity.audio import listen  # noqa: PLC0415

    found = []
    with Bar("listening") as bar:
        for done, (name, (ours, theirs)) in enumerate(pairs.items()):
            found.append(
                listen(ours, theirs, title=name or str(theirs), settings=settings,
                       sample_rate=options["sample_rate"], tap=options["tap"])
            )  # fmt: skip
            bar.update(done + 1, len(pairs))
    return found


def _texts(options: dict[str, Any], names: list[str]) -> list[str] | None:
    """What is said in each pair; None where nobody says, so that no recogniser is asked."""
    if options["alone"] or (options["text"] is None and not options["texts"]):
        if options["recogniser"]:
            raise InputError("a recogniser needs to know what is said", hint="--text or --texts")
        return None
    if options["text"] is not None:
        return [_with_words(options["text"], "--text")] * len(names)
    known = _read_texts(options["texts"])
    lacking = [name for name in names if name not in known]
    if lacking:
        raise InputError(f"has no text for {lacking[0]!r}", where=str(options["texts"]))
    return [_with_words(known[name], f"{options['texts']}: {name}") for name in names]


def _with_words(text: str, where: str) -> str:
    if not any(letter.isalnum() for letter in text):
        raise InputError("holds no word that could be understood", where=where)
    return text


def _read_texts(path: Path) -> dict[str, str]:
    import tomllib  # noqa: PLC0415

    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".toml":
            rows = (line.split("\t", 1) for line in text.splitlines() if "\t" in line)
            return {name.strip(): said.strip() for name, said in rows}
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from None
    table = next((value for value in table.values() if isinstance(value, dict)), table)
    return {str(name): str(said) for name, said in table.items()}


def _status(found: list[Listening], speech: Speech | None) -> int:
    """The worst of all; the recogniser's word over all phrases is worth more than over each."""
    statuses = {listening.exit_status for listening in found}
    if speech is not None and speech.judgement.exit_status == 1:
        return 1
    return next((status for status in (1, 3) if status in statuses), 0)


def _report(found: list[Listening], speech: Speech | None, options: dict[str, Any]) -> None:
    from parity.report.files import write_text  # noqa: PLC0415

    if options["json_"]:
        write_text(options["json_"], _json(found, speech) + "\n")
    if options["html"]:
        from parity.report.listening_html import listening_page  # noqa: PLC0415

        write_text(options["html"], listening_page(found))
    if options["picture"]:
        found[0].plot().savefig(options["picture"], format="png", dpi=100)
    if "-" not in (options["json_"], options["html"]):
        _print(found, speech, full=options["full"])


def _json(found: list[Listening], speech: Speech | None) -> str:
    import json  # noqa: PLC0415

    from parity.report.listening_json import listening_to_dict, speech_to_dict  # noqa: PLC0415

    if len(found) == 1:
        return json.dumps(listening_to_dict(found[0]), allow_nan=False, ensure_ascii=False)
    document = {
        "format": "parity-listenings",
        "version": 1,
        "exit_status": _status(found, speech),
        "speech": speech_to_dict(speech) if speech is not None else None,
        "listenings": [listening_to_dict(listening) for listening in found],
    }
    return json.dumps(document, allow_nan=False, ensure_ascii=False)


def _print(found: list[Listening], speech: Speech | None, *, full: bool) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.rule import Rule  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from parity.report.listening_console import ListeningScreen, speech_lines  # noqa: PLC0415

    console = Console(highlight=False)
    for listening in found:
        if len(found) > 1:
            console.print(Rule(listening.title, style="dim"))
        console.print(ListeningScreen(listening, full=full or len(found) == 1))
    if speech is not None and len(found) > 1:
        console.print(Rule("all phrases together", style="dim"))
        console.print(Text("; ".join(speech_lines(speech))))
