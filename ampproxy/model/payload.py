"""Rules that change the body of a request before it goes to a vendor, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ampproxy.model.base import Guarded, Value

if TYPE_CHECKING:
    from ampproxy.wire.jsonpath import Path


class PayloadModel(Value, frozen=True, kw_only=True):
    """Which requests a rule is for. All that is set must hold.

    :param name: a pattern of models' names, lower case; ``*`` stands for anything.
    :param protocol: the dialect that the vendor is asked in, as CLIProxyAPI calls it: ``openai``, ``codex``,
        ``claude``, ``gemini``; empty: any. Likewise ``source``, the client's: ``openai``, ``responses``,
        ``claude``, ``gemini``.
    :param headers: lower-case names of the client's headers, each with a pattern that a value must match.
    :param match: paths into the body and the JSON that must stand there; ``differ``: that must not.
    :param exist: paths at which there must be something other than null; ``missing``: nothing, or null.
    """

    name: str
    protocol: str = ""
    source: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    match: tuple[tuple[Path, bytes], ...] = ()
    differ: tuple[tuple[Path, bytes], ...] = ()
    exist: tuple[Path, ...] = ()
    missing: tuple[Path, ...] = ()


class PayloadRule(Guarded, frozen=True, kw_only=True):
    """One rule.

    :param kind: ``default`` sets what the request lacks, ``override`` always, ``filter`` takes out.
    :param models: it is for a request that any of them is for.
    :param params: paths into the body, each with the JSON that is set there; empty where it is taken out.
    """

    hidden: ClassVar[frozenset[str]] = frozenset(("params",))

    kind: Literal["default", "override", "filter"]
    models: tuple[PayloadModel, ...]
    params: tuple[tuple[Path, bytes], ...]


class Payload(Value, frozen=True, kw_only=True):
    """The section ``payload``. The values of ``default_raw`` and ``override_raw`` were written as JSON."""

    default: tuple[PayloadRule, ...] = ()
    default_raw: tuple[PayloadRule, ...] = ()
    override: tuple[PayloadRule, ...] = ()
    override_raw: tuple[PayloadRule, ...] = ()
    filter: tuple[PayloadRule, ...] = ()

    @property
    def rules(self) -> tuple[PayloadRule, ...]:
        """All of them, in the order in which they count."""
        return (*self.default, *self.default_raw, *self.override, *self.override_raw, *self.filter)
