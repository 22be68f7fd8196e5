"""The site builds without a warning, its links and anchors lead somewhere, its figures are ours."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ("diagnosis.svg", "drift-floor.svg", "floors.svg")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, with notebooks as they are: another test runs them."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PARITY_DOCS_EXECUTE": "0", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Found(HTMLParser):
    """The links, pictures and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.links += [known[name] or "" for name in ("href", "src") if name in known]
        self.anchors |= {known["id"] or ""} if "id" in known else set()


def read(page: Path) -> Found:
    found = Found()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def test_links_pictures_and_anchors_lead_somewhere(site: Path) -> None:
    pages = {page: read(page) for page in site.rglob("index.html")}
    assert len(pages) > 20
    broken = [
        f"{page.relative_to(site)}: {link}"
        for page, found in pages.items()
        for link in found.links
        if not leads_somewhere(page, link, pages)
    ]
    assert not broken


def leads_somewhere(page: Path, link: str, pages: dict[Path, Found]) -> bool:
    address, _, anchor = link.partition("#")
    if re.match(r"[a-z]+:", address):
        return True
    target = (page.parent / address.partition("?")[0]).resolve() if address else page
    target = target / "index.html" if target.is_dir() else target
    # Material's own header and notebooks' own styles make anchors by script.
    wanted = not anchor or target not in pages or anchor.startswith("__")
    return target.exists() and (wanted or anchor in pages[target].anchors)


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text('<h1 id="here"></h1>')
    pages = {page: read(page)}
    assert leads_somewhere(page, "#here", pages)
    assert not leads_somewhere(page, "#there", pages)
    assert not leads_somewhere(page, "gone/", pages)


def test_the_reference_is_made_of_docstrings_and_help(site: Path) -> None:
    python = (site / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    assert "Record what runs inside the" in python
    cli = (site / "reference" / "cli" / "index.html").read_text(encoding="utf-8")
    for said in ("parity diff", "parity backends check", "Examples:", "Exit status"):
        assert said in cli


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"|<link[^>]+stylesheet[^>]+href="(https?:[^"]+)"'
    )
    found = {
        str(page.relative_to(site)): hits
        for page in site.rglob("*.html")
        if (hits := loaded.findall(page.read_text(encoding="utf-8")))
    }
    assert not found


def test_the_figures_are_drawn_by_their_script(tmp_path: Path) -> None:
    script = ROOT / "docs" / "site" / "figures.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FIGURES)
    floors = (tmp_path / "floors.svg").read_text()
    for precision in ("float64", "float32", "float16", "bfloat16"):
        assert precision in floors
    # Two faults were put into the port, and both are found where they are.
    found = (tmp_path / "diagnosis.svg").read_text()
    for word in ("origin: enters here (2)", "1.down", "3.norm1", "1. GELU(erf)", "2. eps=0.001"):
        assert word in found
