"""How ``make docs`` builds these pages; they read as well without.

The pages are plain Markdown. What only the web site has is made of them here: the navigation has the groups
of index.md, and a link that shows a file's name shows the page's title.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

project = "ampproxy"
(release,) = re.findall(
    r'^__version__ = "(.+)"$', (HERE.parent / "ampproxy" / "__init__.py").read_text(encoding="utf-8"), re.M
)
version = release
author = "the authors of ampproxy"
copyright = f"{author}. This describes version {release}"
extensions = ["myst_parser"]
root_doc = "index"
myst_heading_anchors = 3
# No lexer knows HAProxy's language; what is not coloured reads well, too.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = f"ampproxy {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False

_GROUP = re.compile(r"(?m)^## (.+)\n((?:(?!## ).*\n?)*)")
_PAGE = re.compile(r"\]\(([a-z]+)\.md\)")
_FILE_AS_TEXT = re.compile(r"\[([a-z]+)\.md\]\(")


def title_of(page: str) -> str:
    """The title of a page: its first line."""
    return (HERE / f"{page}.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def navigation(index: str) -> str:
    """The side bar, grouped as the index is."""
    groups = [(title, dict.fromkeys(_PAGE.findall(links))) for title, links in _GROUP.findall(index)]
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n"
        for title, pages in groups
    )


def as_site(text: str, page: str) -> str:
    """A page as the web site has it."""
    text = _FILE_AS_TEXT.sub(lambda link: f"[{title_of(link[1])}](", text)
    return text + navigation(text) if page == root_doc else text


def setup(app: Any) -> None:
    """Register the change of sources with Sphinx."""

    def read(app: Any, page: str, source: list[str]) -> None:
        source[0] = as_site(source[0], page)

    app.connect("source-read", read)
