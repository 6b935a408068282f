"""docs/credits.md names every role."""

from __future__ import annotations

import re
from pathlib import Path

from ampproxy.model.roles import ROLES

TEXT = (Path(__file__).parents[1] / "docs" / "credits.md").read_text(encoding="utf-8")


def test_every_role_is_documented():
    table = TEXT.partition("| role | what it is |")[2]
    named = {name for line in table.splitlines() if line.startswith("| `")
             for name in re.findall(r"`(\w+)`", line.split("|")[1])}  # fmt: skip
    assert named == set(ROLES)
