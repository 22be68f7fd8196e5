"""The page is one small file, names what may run by digest, and shows what the captures hold."""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.cli.main import main
from parity.diffing import diff
from parity.localize import Localization, Origin, TapError
from parity.report.explorer import to_explorer
from parity.report.page import Evidence, Sound, TensorPair, gather, page
from parity.report.page.gather import telling_rows
from parity.report.page.origins import origins
from parity.report.page.packing import levels, pack
from parity.report.page.pictures import picture
from parity.report.page.signals import player, spectrogram_db
from parity.tensors import Role, TapKey
from tests_pages import HOSTILE, RATE, broken_result, diagnosis, evidence

# Of the files as they are in the package `uplot` 1.6.32 of the npm registry.
VENDORED = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


class _Page(HTMLParser):
    """The elements of a page, with the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        self.texts.append(("", ""))

    def handle_data(self, data: str) -> None:
        # A long text comes in pieces.
        if self.texts:
            tag, text = self.texts[-1]
            self.texts[-1] = tag, text + data

    @property
    def policy(self) -> str:
        found = [a["content"] for tag, a in self.elements if a.get("http-equiv")]
        return str(found[0])


@pytest.fixture(scope="module")
def text() -> str:
    result, candidate = broken_result()
    shown = {"": evidence(result, candidate)}
    return page({"": result}, title=HOSTILE, diagnoses={"": diagnosis()}, evidence=shown)


def unpacked(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/x-parity"[^>]*>([^<]*)</script>', text)
    assert found
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1])))
    return data


def test_the_policy_names_exactly_what_the_page_runs_and_wears(text: str) -> None:
    found = _Page(text)
    named = re.findall(r"'sha256-([^']+)'", found.policy)
    held = [
        base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()
        for tag, data in found.texts
        if tag == "style" or (tag == "script" and "uPlot" in data)
    ]
    assert sorted(named) == sorted(held)
    assert found.policy.startswith("default-src 'none'; ")
    assert "unsafe" not in found.policy


def test_no_element_carries_a_handler_a_style_or_an_address_elsewhere(text: str) -> None:
    for tag, attributes in _Page(text).elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            assert re.match(r"(#|data:audio/wav;|$)", attributes.get(name) or ""), attributes


def test_no_name_becomes_markup(text: str) -> None:
    assert not [tag for tag, _ in _Page(text).elements if tag == "img"]
    assert "\x00" not in text
    assert "\u202e" not in text


def test_the_verdict_stands_in_the_page_without_its_script(text: str) -> None:
    body = text[text.index("<body>") :]
    assert body.index("Parity does not hold") < body.index("net.layers.4.act") < 4000
    assert "causes found" in body


def test_a_page_of_five_thousand_taps_and_its_sound_is_below_three_megabytes() -> None:
    drawn = np.random.default_rng(0)
    reference = {f"model.layers.{i}.part.{i % 7}": drawn.standard_normal(64) for i in range(5000)}
    candidate = {name: a * (1 + 1e-3 * drawn.random()) for name, a in reference.items()}
    result = diff(reference, candidate)
    noise = [drawn.standard_normal((64, 128)) for _ in range(2)]
    pairs = tuple(TensorPair(row, *noise) for row in range(16))
    minute = drawn.standard_normal(60 * 24_000) / 4
    shown = {"": Evidence(pairs, (Sound("waveform", minute, minute, 24_000),))}
    made = page({"": result}, title="", diagnoses={}, evidence=shown)
    assert len(made.encode()) < 3_000_000
    assert "s, so that the page stays small" in made


def test_every_row_is_in_the_page(text: str) -> None:
    rows = unpacked(text)["rows"]
    result, _ = broken_result()
    assert rows["count"] == len(result)
    columns = rows["columns"]
    assert [columns["tap"]["texts"][code] for code in columns["tap"]["codes"]][:2] == [
        "net.layers.0.act",
        "net.layers.1.act",
    ]
    assert columns["rel_l2"][4] == pytest.approx(0.01, rel=1e-3)
    assert columns["rel_l2"][6] is None or columns["verdict"][6] != columns["verdict"][4]


def test_the_vendored_library_is_the_published_one() -> None:
    folder = files("parity.report") / "vendor" / "uplot"
    for name, digest in VENDORED.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_numbers_are_packed_without_loss() -> None:
    document = {"a": [1, 2.5, None], "b": "é\u2028<"}
    assert json.loads(zlib.decompress(base64.b64decode(pack(document)))) == document


def test_levels_keep_what_is_not_finite_apart() -> None:
    found = levels(np.array([0.0, 0.5, 1.0, np.nan, np.inf, 7.0]), 0.0, 1.0)
    assert found.tolist() == [1, 128, 255, 0, 0, 255]


def test_a_picture_says_where_the_worst_elements_are() -> None:
    ours = np.arange(12.0).reshape(3, 4)
    theirs = ours.copy()
    theirs[2, 1] += 0.5
    theirs[0, 3] = np.nan
    found = picture(TensorPair(0, ours, theirs))
    assert [one["at"] for one in found["worst"][:2]] == [[0, 3], [2, 1]]
    assert found["worst"][1]["error"] == "0.5"
    error = np.frombuffer(base64.b64decode(found["heat"]["error"]), np.uint8).reshape(3, 4)
    assert (error[2, 1], error[0, 3], error[1, 1]) == (255, 0, 1)
    assert found["summary"][1]["not finite"] == "1"


@pytest.mark.parametrize("shape", [(), (1,), (70_000,), (300, 5, 7), (1, 1, 200)])
def test_pictures_are_bounded_whatever_the_shape(shape: tuple[int, ...]) -> None:
    ours = np.ones(shape)
    found = picture(TensorPair(0, ours, ours + 1))
    assert found["heat"]["rows"] <= 64
    assert found["heat"]["columns"] <= 128
    assert len(json.dumps(found)) < 80_000
    assert sum(found["histogram"]["reference"]) == max(ours.size, 1)


def test_a_tone_is_loudest_in_its_own_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    bands = spectrogram_db(tone, RATE, longest=RATE)
    edges = np.geomspace(60, RATE / 2, bands.shape[0] + 1)
    loudest = int(bands.mean(axis=1).argmax())
    assert edges[loudest - 1] < 1000 < edges[loudest + 2]


def test_a_sound_that_cannot_be_played_as_it_is_says_so() -> None:
    loud = np.array([0.0, 3.0, np.nan] * 200)
    notes = player(Sound("x", loud / 9, loud, RATE), 100_000)["notes"]
    assert "200 samples of the candidate are not finite, and play as silence." in notes
    assert "The candidate peaks at 3.0e+00 of full scale, and is clipped here." in notes


def test_tensors_and_sounds_come_from_the_captures(capture_of: Callable[..., Path]) -> None:
    drawn = np.random.default_rng(1)
    reference = {f"a.{i}": drawn.standard_normal((4, 8)) for i in range(5)}
    reference["wave"] = drawn.standard_normal((1, 900))
    candidate = {name: array * 1.1 for name, array in reference.items()}
    paths = capture_of("r.h5", reference), capture_of("c.h5", candidate)
    result = diff(*paths, output="wave")
    found = gather(result, *paths, sounds=[("wave", RATE), ("none", RATE)])
    assert [sound.title for sound in found.sounds] == ["wave"]
    assert found.sounds[0].candidate.shape == (900,)
    first = found.tensors[0]
    assert result.table.keys[first.row].path == "a.0"
    np.testing.assert_array_equal(first.reference, reference["a.0"])
    assert "wave" in {result.table.keys[pair.row].path for pair in found.tensors}


def test_of_a_part_of_a_tensor_there_is_no_picture(capture_of: Callable[..., Path]) -> None:
    drawn = np.random.default_rng(2)
    whole = drawn.standard_normal((2, 6, 6))
    paths = (
        capture_of("r.h5", {"a": whole}),
        capture_of("c.h5", {"a": np.ascontiguousarray(whole.transpose(0, 2, 1)) * 1.1}),
    )
    result = diff(*paths, layouts={"a": (0, 2, 1)})
    assert result.table.metrics["rel_l2"][0] == pytest.approx(0.1)
    assert gather(result, *paths).tensors == ()


def test_the_telling_tensors_are_the_first_the_named_and_the_output() -> None:
    result, _ = broken_result()
    told = [result.table.keys[row].path for row in telling_rows(result, diagnosis())]
    assert told[:2] == ["net.layers.4.act", "waveform"]
    assert HOSTILE not in told[2:] or len(told) == len(set(told))


def test_an_error_enters_where_the_diagnosis_found_it_and_is_inherited_elsewhere() -> None:
    result, _ = broken_result()
    codes = origins(result, diagnosis(), None)
    by_path = dict(zip([key.path for key in result.table.keys], codes, strict=True))
    assert (by_path["net.layers.3.act"], by_path["net.layers.4.act"]) == (0, 1)
    assert by_path["net.layers.8.act"] == 2
    assert set(origins(result, None, None)) == {0}


def test_a_localization_is_believed_over_the_diagnosis() -> None:
    result, _ = broken_result()
    key = TapKey("net.layers.8.act", Role.TAP)
    found = Localization((TapError(key, -1, 1e-2, 1e-2, 1e-6, Origin.ORIGIN),))
    codes = origins(result, diagnosis(), found)
    assert [result.table.keys[i].path for i, code in enumerate(codes) if code] == [key.path]


def test_the_graph_nests_and_colours_and_links_the_taps() -> None:
    arrays = {"net": np.ones(3), "net.a": np.ones(3), "out": np.arange(3.0)}
    result = diff(arrays, arrays | {"net": 2 * np.ones(3)})
    edges = [("net.a", "net"), ("net", "out"), ("gone", "out"), ("net", "net")]
    document = json.loads(to_explorer(result, title="t", edges=edges))
    # What Model Explorer looks at to tell a collection of graphs from other JSON.
    assert set(document) == {"label", "graphs"}
    (graph,) = document["graphs"]
    assert graph.keys() >= {"id", "nodes"}
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert {name: node["namespace"] for name, node in nodes.items()} == {
        "net": "net", "net.a": "net", "out": "",
    }  # fmt: skip
    assert nodes["out"]["incomingEdges"] == [{"sourceNodeId": "net"}]
    assert nodes["net"]["incomingEdges"] == [{"sourceNodeId": "net.a"}]
    assert nodes["net"]["style"] != nodes["net.a"]["style"]
    assert {"key": "verdict", "value": "divergent"} in nodes["net"]["attrs"]


def test_the_command_line_shows_tensors_and_sounds_and_writes_the_graph(
    capture_of: Callable[..., Path], tmp_path: Path
) -> None:
    wave = np.sin(np.arange(900.0))[None]
    ours, theirs = capture_of("r.h5", {"wave": wave}), capture_of("c.h5", {"wave": wave / 2})
    html, graph = tmp_path / "page.html", tmp_path / "model.json"
    with pytest.raises(SystemExit) as stop:
        main(["diff", str(ours), str(theirs), "--html", str(html), "--explorer", str(graph),
              "--sound", "wave", "8000"])  # fmt: skip
    assert stop.value.code == 1
    text = html.read_text("utf-8")
    assert text.count("<audio ") == 2
    assert len(unpacked(text)["pictures"]) == 1
    assert json.loads(graph.read_text("utf-8"))["graphs"][0]["nodes"][0]["id"] == "wave"
