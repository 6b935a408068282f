"""Newer data about models than the release has: read from a file of ours or of models.dev, kept on disk.

Pure: bytes in, values out. The file that keeps it is JSON, names its source and its day, and can be removed
at any time.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import msgspec

from ampproxy.catalog.families import EMPTY, Family, Medium, Newer, Override, Table, shipped, vendors
from ampproxy.catalog.names import exact

#: The largest data set that is read; models.dev's has some three megabytes. Bytes.
MAX_SIZE = 32 * 1024 * 1024
#: Models, or families, beyond which a data set is none.
MAX_ROWS = 50_000
_MAX_VALUE_CHARS = 512
_VERSION = 1


class DataSetError(Exception):
    """It is no data set that can be used; says why, for people."""


class DataSet(msgspec.Struct, frozen=True, omit_defaults=True):
    """A data set as it is kept.

    :param source: where it was read from; ``read``: on which day.
    :param table: in the place of the shipped table.
    :param families: facts about single models, one row for each, by the vendor's own name.
    """

    source: str
    read: datetime.date
    table: Table | None = None
    families: tuple[Family, ...] = ()
    version: int = _VERSION

    @property
    def as_of(self) -> datetime.date:
        """The day on which it was checked; where it says none, on which it was read."""
        return self.read if self.table is None else self.table.as_of

    @property
    def origin(self) -> str:
        """From where it is, for people."""
        return f"{self.source}, read on {self.read}"

    def in_force(self) -> Newer | None:
        """What of it counts; ``None``: nothing, for this release has later data."""
        if self.as_of < shipped().table.as_of:
            return None
        facts = {exact(family.names[0]): Override(family, self.origin) for family in self.families}
        return Newer(self.table, facts or EMPTY, self.source)


def read(data: bytes, source: str, today: datetime.date, read_yaml: Callable[[str, str], Table]) -> DataSet:
    """A data set in any of the forms that are known.

    :param read_yaml: reads a table of ours, :func:`ampproxy.catalog.compile.read`.
    :raises DataSetError: it is none, or is older than what this release has.
    """
    found = _read(data, source, today, read_yaml)
    if found.as_of < shipped().table.as_of:
        raise DataSetError(
            f"it is of {found.as_of}, and this ampproxy has data of {shipped().table.as_of} already"
        )
    return found


def _read(data: bytes, source: str, today: datetime.date, read_yaml: Callable[[str, str], Table]) -> DataSet:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return DataSet(source, today, _checked(_from_yaml(data, source, read_yaml)))
    if not isinstance(found, dict):
        raise DataSetError("it is neither a table of families nor a list of models as models.dev has it")
    if "families" in found:
        return DataSet(source, today, _checked(_converted(found)))
    families = models_dev(found)
    if not families:
        raise DataSetError("it names no model in the form of models.dev's api.json")
    return DataSet(source, today, None, families)


def _from_yaml(data: bytes, source: str, read_yaml: Callable[[str, str], Table]) -> Table:
    if len(data) > MAX_SIZE // 32:
        raise DataSetError("it is not valid JSON, and too large for a table in YAML")
    try:
        return read_yaml(data.decode("utf-8-sig"), source.rpartition("/")[2] or "data")
    except UnicodeDecodeError:
        raise DataSetError("it is neither JSON nor UTF-8 text") from None
    except RecursionError:
        raise DataSetError("it is nested too deep") from None
    except ValueError as error:
        raise DataSetError(str(error)) from None


def _converted(found: dict[str, Any]) -> Table:
    try:
        return msgspec.convert(found, Table)
    except msgspec.ValidationError as error:
        raise DataSetError(f"it is no table of families: {error}") from None


def _checked(table: Table) -> Table:
    """The same, if it can stand in the place of the shipped one."""
    known = {dialect for family in shipped().table.families for dialect in family.dialects or ()}
    for family in table.families:
        strange = set(family.dialects or ()) - known
        if strange:
            raise DataSetError(
                f"the family {family.names[0]} is for a dialect {min(strange)!r}, which is none"
            )
        if not family.names or not all(0 < len(name) <= _MAX_VALUE_CHARS for name in family.names):
            raise DataSetError("a family has no name, or one that could be no model's")
    if not 0 < len(table.families) <= MAX_ROWS:
        raise DataSetError(f"it has {len(table.families)} families: expected 1 to {MAX_ROWS}")
    return table


_MEDIA: tuple[Medium, ...] = get_args(Medium)


def models_dev(providers: Mapping[str, Any]) -> tuple[Family, ...]:
    """What models.dev's ``api.json`` says of models, by the names that their hosts have for them.

    Of hosts that have the same name for a model its maker counts, else the first.
    """
    makers = set(vendors())
    ordered = sorted(providers.items(), key=lambda pair: pair[0] not in makers)
    found: dict[str, Family] = {}
    for host, provider in ordered:
        models = provider.get("models") if isinstance(provider, dict) else None
        for name, entry in (models if isinstance(models, dict) else {}).items():
            if len(found) < MAX_ROWS and 0 < len(name) <= _MAX_VALUE_CHARS and isinstance(entry, dict):
                family = _family(name, entry, host in makers)
                if family is not None:
                    found.setdefault(exact(name), family)
    return tuple(found.values())


def _family(name: str, entry: Mapping[str, Any], maker: bool) -> Family | None:
    limits, media = _object(entry, "limit"), _object(entry, "modalities")
    members = {
        "title": entry.get("name"),
        "tools": entry.get("tool_call"),
        "thinks": entry.get("reasoning"),
        # Hosts have rules of their own for it.
        "sampling": entry.get("temperature") if maker else None,
        "context": limits.get("context") or None,
        "max_output": limits.get("output") or None,
        "input": _known(media.get("input")),
        "output": _known(media.get("output")),
        "released": entry.get("release_date"),
        "deprecated": True if entry.get("status") == "deprecated" else None,
    }
    stated: dict[str, Any] = {}
    for member, value in members.items():
        try:
            # Each by itself: a strange value says nothing of the others.
            one = msgspec.convert({"names": [name], member.replace("_", "-"): value}, Family)
        except msgspec.ValidationError:
            continue
        if (read := getattr(one, member)) not in (None, "", ()):
            stated[member] = read
    return Family(names=(name,), source="https://models.dev", **stated) if stated else None


def _object(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _known(media: Any) -> list[Medium] | None:
    return [medium for medium in _MEDIA if medium in media] if isinstance(media, list) else None


_decoder = msgspec.json.Decoder(DataSet)


def dump(found: DataSet) -> bytes:
    """A data set as it is kept."""
    return msgspec.json.encode(found) + b"\n"


def load(data: bytes) -> DataSet:
    """What :func:`dump` gave.

    :raises ValueError: it is none that this version can read.
    """
    try:
        found = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("no data about models that this version can read") from None
    if found.version != _VERSION:
        raise ValueError("written by another version")
    return found


def names(families: Iterable[Family]) -> int:
    """How many models they are about."""
    return len({name for family in families for name in family.names})
