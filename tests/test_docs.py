"""What the documentation refers to is there: files, headings, commands, settings."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from ampproxy import __version__
from ampproxy.cli import VERBS
from ampproxy.config.layout import FAMILIES, PLACES
from ampproxy.config.parsing import walk
from ampproxy.config.sections import ROOT

TREE = Path(__file__).parents[1]
PAGES = [TREE / "README.md", *sorted((TREE / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """Without blocks of code."""
    return re.sub(r"(?ms)^```.*?^```", "", text_of(page))


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", prose_of(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_marks_of_a_merge() -> None:
    """Texts that no program reads have none of the lines that git puts around a conflict."""
    texts = [
        *PAGES,
        *(TREE / "newsfragments").iterdir(),
        *(each for each in (TREE / "etc").rglob("*") if each.is_file()),
    ]
    marks = re.compile(r"(?m)^(<<<<<<<|=======|>>>>>>>)( |$)")
    assert [text.name for text in texts if marks.search(text_of(text))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    for target in LINK.findall(prose_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors_of(file), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands(page: Path) -> None:
    """Every verb that is written is one."""
    text = text_of(page)
    code = [*re.findall(r"`([^`\n]+)`", prose_of(page)), *re.findall(r"(?m)^ {4}(ampproxy .*)$", text)]
    code += re.findall(r"(?ms)^```sh$(.*?)^```", text)
    for verb in re.findall(r"(?m)^ampproxy ([a-z]+)\b", "\n".join(code)):
        assert verb in VERBS, f"{page.name}: ampproxy {verb}"


def test_the_first_steps_need_no_other_program() -> None:
    """A plain installation has all that they name: twistd comes with an option of pipx's only."""
    for page in (TREE / "README.md", TREE / "docs/quickstart.md"):
        text = text_of(page)
        assert "pipx install ." in text
        assert "--include-deps" not in text
        assert not re.findall(r"(?m)^twistd ", text)


def test_making_them_leaves_the_code_alone() -> None:
    """A copy of the package in .venv would be what every later run and test of the commands starts."""
    text = text_of(TREE / "Makefile").replace("\\\n", " ")
    (install,) = re.findall("pip install.*", text)
    assert install.endswith("--require-hashes -r requirements/docs.txt")
    # The package is in no lock file; it is installed so that the directory itself is what is started.
    assert "--no-deps --no-build-isolation --editable ." in text_of(TREE / ".ci" / "venv")
    assert 'options={"editable_wheel": {"mode": "compat"}}' in text_of(TREE / "setup.py")


def test_every_page_is_in_the_index() -> None:
    pages = {page.stem for page in PAGES if page.parent.name == "docs"}
    index = set(re.findall(r"\(([a-z]+)\.md\)", text_of(TREE / "docs" / "index.md")))
    assert index | {"index"} == pages


def test_the_site() -> None:
    """Its side bar has the groups of the index, and its links show titles, not names of files."""
    conf = runpy.run_path(str(TREE / "docs" / "conf.py"))
    text = conf["as_site"](text_of(TREE / "docs" / "index.md"), "index")
    captions = re.findall(r"(?m)^:caption: (.+)$", text)
    assert captions == re.findall(r"(?m)^## (.+)$", text_of(TREE / "docs" / "index.md"))
    listed = re.findall(r"(?m)^([a-z]+)$", text)
    assert sorted(listed) == sorted({page.stem for page in PAGES if page.parent.name == "docs"} - {"index"})
    assert conf["as_site"]("see [credits.md](credits.md#x), [it](a.md)", "usage") == (
        "see [What may cost Amp credits](credits.md#x), [it](a.md)"
    )
    assert conf["release"] == __version__


def test_every_command_is_documented() -> None:
    everything = "".join(map(text_of, PAGES))
    assert [verb for verb in VERBS if f"ampproxy {verb}" not in everything] == []


def test_settings_that_are_named() -> None:
    """A dotted name in code font that begins as a section does is a setting of it."""
    known = {f"{path}.{row.name}".replace("[]", "").lstrip(".") for path, _, row in walk(ROOT)}
    known |= {
        f"{path}.{name}".replace("[]", "") for path, section, _ in walk(ROOT) for name in section.unsupported
    }
    known |= {f"api-keys.{family}" for family in FAMILIES}
    known |= {*PLACES, *(new.rpartition(".")[0] for new in PLACES)}
    sections = {name.partition(".")[0] for name in known if "." in name}
    for page in PAGES:
        for name in re.findall(r"`([a-z][a-z-]*(?:\.[a-z-]+)+)`", prose_of(page)):
            if name.partition(".")[0] in sections:
                assert name in known, f"{page.name}: {name}"
