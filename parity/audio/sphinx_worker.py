"""The process in which PocketSphinx runs: words first, then sound in, text out, until the end.

In: one line of JSON (texts, pronunciations), then for each sound its length in bytes as eight
little-endian bytes, the microseconds of processor time that it may take as eight more, and so many
bytes of 16-bit samples at 16 kHz. Out: a line of JSON for each.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import Any, BinaryIO

__all__ = ["main", "words_to_add"]

Found = tuple[dict[str, str], list[str]]


def words_to_add(texts: list[str], given: dict[str, str], decoder: Any) -> Found:
    """Pronunciations of the texts' words that the dictionary lacks, and words without any.

    Args:
        texts: as written: an acronym is known by its capitals.
        given: pronunciations by word.
        decoder: whose `lookup_word` is the dictionary.
    """
    added = {word.lower(): phones for word, phones in given.items()}
    unknown = set()
    for word in sorted({word for text in texts for word in re.findall(r"[^\W\d_']+", text)}):
        plain = word.lower()
        if plain in added or decoder.lookup_word(plain):
            continue
        letters = [decoder.lookup_word(f"{letter}.") for letter in plain]
        if word.isupper() and len(word) > 1 and all(letters):
            added[plain] = " ".join(letters)
        else:
            unknown.add(plain)
    return added, sorted(unknown - set(added))


def _decoder(order: dict[str, Any]) -> tuple[Any, list[str]]:
    from pocketsphinx import Config, Decoder  # noqa: PLC0415 - loads a model

    decoder = Decoder(Config(loglevel="FATAL"))
    added, unknown = words_to_add(order["texts"], order["pronunciations"], decoder)
    for word, phones in sorted(added.items()):
        if not decoder.lookup_word(word):
            decoder.add_word(word, phones, update=True)
    return decoder, unknown


def _transcribe(decoder: Any, data: bytes) -> str:
    # Its running average of the cepstrum would make a result depend on what came before.
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(data, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found is not None else ""


def main(source: BinaryIO, target: BinaryIO) -> None:
    """Serve until the source ends."""
    decoder, unknown = _decoder(json.loads(source.readline()))
    target.write(json.dumps({"unknown": unknown}).encode() + b"\n")
    target.flush()
    while head := source.read(8):
        limit_s = int.from_bytes(source.read(8), "little") / 1e6
        data = source.read(int.from_bytes(head, "little"))
        # Ends this process when so much processor time is used: the decoder cannot be interrupted.
        signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
        text = _transcribe(decoder, data)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        target.write(json.dumps({"text": text}).encode() + b"\n")
        target.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
