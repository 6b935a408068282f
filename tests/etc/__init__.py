"""What is shipped for operators in ``etc/``: checked by the tools that it is for, and at work."""

from __future__ import annotations

from pathlib import Path

ETC = Path(__file__).parents[2] / "etc"
