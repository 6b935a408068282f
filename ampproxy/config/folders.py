"""Where folders of ours are that no setting names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def default_state_dir(environ: Mapping[str, str], home: Path) -> Path:
    """Where state of ours belongs: systemd says it, else the XDG Base Directory Specification, by which a
    relative ``XDG_STATE_HOME`` does not count.
    """
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    named = Path(environ.get("XDG_STATE_HOME", ""))
    return (named if named.is_absolute() else home / ".local" / "state") / "ampproxy"
