"""What the doctor says: findings, each a sentence and what to do."""

from __future__ import annotations

from typing import Literal

import msgspec

from ampproxy.wire.words import counted

#: ``ok``: as it should be; ``note``: good to know; ``warning``: costs money, safety or a feature sooner or
#: later; ``problem``: something does not work.
Level = Literal["ok", "note", "warning", "problem"]
LEVELS: tuple[Level, ...] = ("ok", "note", "warning", "problem")


class Finding(msgspec.Struct, frozen=True):
    """One finding. Nothing of it is a secret.

    :param check: the check that found it.
    :param text: one sentence.
    :param todo: what to do, perhaps with lines for the configuration below; empty where nothing is.
    """

    check: str
    level: Level
    text: str
    todo: str = ""


class LiveRow(msgspec.Struct, frozen=True):
    """What became of one role or one account when it was tried, or why it was not.

    :param role: empty: the account alone was tried.
    :param asked: the model that Amp asks for.
    :param account: empty where no account of the user's would serve it.
    :param dialect: what the account was spoken to in.
    :param pays: ``local``: one of the user's accounts; ``amp credits``: not sent; ``nobody``.
    :param result: ``ok``, ``failed`` or ``not sent``.
    :param text: the vendor's words, or why nothing was sent.
    """

    role: str
    asked: str
    account: str
    model: str
    dialect: str
    pays: Literal["local", "amp credits", "nobody"]
    result: Literal["ok", "failed", "not sent"]
    ms: int | None = None
    text: str = ""


class Examination(msgspec.Struct, frozen=True):
    """All that was found. ``live`` is there if models were asked."""

    findings: tuple[Finding, ...]
    live: tuple[LiveRow, ...] | None = None

    @property
    def worst(self) -> Level:
        """The worst level of all; a role or an account that failed is a problem."""
        levels = [finding.level for finding in self.findings]
        if any(row.result == "failed" for row in self.live or ()):
            levels.append("problem")
        return max(levels, key=LEVELS.index, default="ok")

    def pressing(self) -> Examination:
        """Give problems and warnings alone, and of what was tried what failed."""
        findings = tuple(finding for finding in self.findings if finding.level in ("problem", "warning"))
        failed = tuple(row for row in self.live or () if row.result == "failed")
        return Examination(findings, failed or None)


def totals(found: Examination) -> str:
    """How many of each level, for people, the worst first; a role or an account that failed is a problem."""
    levels = [finding.level for finding in found.findings]
    levels += ["problem"] * sum(row.result == "failed" for row in found.live or ())
    counts = ((level, levels.count(level)) for level in reversed(LEVELS))
    return ", ".join(
        f"{count} ok" if level == "ok" else counted(count, level) for level, count in counts if count
    )


def ok(text: str) -> Finding:
    """As it should be."""
    return Finding("", "ok", text)


def note(text: str, todo: str = "") -> Finding:
    """Good to know."""
    return Finding("", "note", text, todo)


def warning(text: str, todo: str) -> Finding:
    """It costs money, safety or a feature."""
    return Finding("", "warning", text, todo)


def problem(text: str, todo: str) -> Finding:
    """It does not work."""
    return Finding("", "problem", text, todo)
