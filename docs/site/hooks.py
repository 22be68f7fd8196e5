"""What the site holds besides the pages in docs/: the notebooks, run, and the help of the commands.

MkDocs calls the functions here by their names. With `PARITY_DOCS_EXECUTE=0` in the environment
notebooks are shown as they are, without results; that is quick.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbclient import NotebookClient

from parity.cli.main import parity

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "notebooks"
RUN = ROOT / ".cache" / "site"
LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+)[^)]*\)")
COMMANDS = "<!-- commands -->"

log = get_plugin_logger("parity")


@event_priority(100)  # before the plugin that turns notebooks into pages
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the notebooks to the files of the site."""
    execute = os.environ.get("PARITY_DOCS_EXECUTE", "1") != "0"
    for path in sorted(SOURCE.glob("*.ipynb")):
        root = executed(path) if execute else ROOT
        name = f"notebooks/{path.name}"
        files.append(File(name, str(root), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Put in what commands say of themselves; turn links out of docs/ into text."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(command_help()))
    depth = page.file.src_uri.count("/")
    return LINK.sub(lambda link: link[0] if link[2].count("../") <= depth else link[1], markdown)


def command_help() -> Iterator[str]:
    """A section a command: the text of its `--help`, in the order in which `parity` lists them."""
    yield from _section(
        parity, click.Context(parity, info_name="parity", **parity.context_settings)
    )


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    name = context.command_path
    yield f"## {name}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _section(found, click.Context(found, info_name=inner, parent=context))


def executed(path: Path) -> Path:
    """Run a notebook from top to bottom; the folder below which `notebooks/` holds the result.

    Raises:
        CellExecutionError: a cell failed.
    """
    log.info("running %s", path.name)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(SOURCE)}}).execute()
    target = RUN / "notebooks" / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return RUN
