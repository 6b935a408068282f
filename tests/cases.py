"""Many small cases in one test.

Each test costs pytest and xdist some two milliseconds, which is more than most cases take for their own work.
Where there are hundreds of them, :func:`each` stands for ``pytest.mark.parametrize``. A run of the whole
suite takes it for every parametrized function that has no other arguments: see :func:`together`. A run of a
part, in which somebody looks for one case, does not.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import pytest

Test = TypeVar("Test", bound=Callable[..., Any])

PARAM = type(pytest.param())

#: Failing cases whose traceback is shown; the others have one line.
MAX_SHOWN = 3


def each(
    names: str | Sequence[str],
    values: Iterable[Any],
    ids: Iterable[str] | Callable[[Any], object] | None = None,
) -> Callable[[Test], Test]:
    """Call the test with every one of the values, as ``pytest.mark.parametrize`` does, but as one test.

    All of them are tried, whichever of them fail, and the error names those. A fixture is made once for all
    of them. Where decorators of this kind stand on each other, every value is combined with every other.

    :param values: as of parametrize; a ``pytest.param`` may have a name, but no marks.
    :param ids: what names a value in the error: a text for each, or a function; the value itself if missing.
    :raises AssertionError: one or more of the cases failed.
    """
    words = [word.strip() for word in names.split(",")] if isinstance(names, str) else list(names)
    if ids is not None and not callable(ids):
        ids = list(ids)
    rows, labels = [], []
    for at, value in enumerate(values):
        row, label = _row(value, len(words))
        rows.append(row)
        labels.append(label or _label(row, ids, at))

    def decorate(test: Test) -> Test:
        inner = getattr(test, "cases", None)
        one = inner.test if inner else test
        cases = [
            (f"{label}-{name}" if name else label, {**dict(zip(words, row, strict=True)), **more})
            for label, row in zip(labels, rows, strict=True)
            for name, more in (inner.cases if inner else [("", {})])
        ]
        return _grouped(test, Cases(one, cases))

    return decorate


def together(test: Any) -> Callable[..., None] | None:
    """A parametrized function as one test; ``None`` if it is to stay as it is.

    One that takes more than its parameters, or is made by others, may need it anew for each case; marks of a
    case have no place in a group.
    """
    if not inspect.isfunction(test) or hasattr(test, "cases") or hasattr(test, "hypothesis"):
        return None
    marks = getattr(test, "pytestmark", [])
    parameters = [mark for mark in marks if mark.name == "parametrize"]
    given = [value for mark in parameters for value in (*mark.args, *mark.kwargs.values())]
    # An iterator can be taken once, and pytest may still need it.
    if not given or any(isinstance(value, Iterator) for value in given):
        return None
    grouped: Any = test
    try:
        # So that a case has the name that pytest would give it.
        for mark in reversed(parameters):
            grouped = each(*mark.args, **mark.kwargs)(grouped)
    except TypeError:
        return None
    if inspect.signature(grouped).parameters:
        return None
    # What wraps shares its marks with what it wraps.
    grouped.pytestmark = [mark for mark in marks if mark.name != "parametrize"]
    return cast(Callable[..., None], grouped)


class Cases:
    """What a grouped test consists of."""

    def __init__(self, test: Callable[..., Any], cases: list[tuple[str, dict[str, Any]]]) -> None:
        self.test = test
        self.cases = cases

    def run(self, given: dict[str, Any]) -> None:
        """Try all cases.

        :param given: the other arguments of the test.
        """
        failed: list[tuple[str, Exception | pytest.fail.Exception]] = []
        skipped: list[str] = []
        for label, values in self.cases:
            try:
                self.test(**given, **values)
            except pytest.skip.Exception as skip:
                skipped.append(str(skip))
            except (Exception, pytest.fail.Exception) as error:
                failed.append((label, error))
        if failed:
            raise AssertionError(_report(failed, len(self.cases))) from failed[0][1]
        if not self.cases or len(skipped) == len(self.cases):
            pytest.skip(skipped[0] if skipped else "there are no cases")


def _grouped(test: Any, grouped: Cases) -> Any:
    @wraps(test)
    def run(**given: Any) -> None:
        grouped.run(given)

    signature = inspect.signature(grouped.test)
    taken = {name for _, values in grouped.cases for name in values}
    left = [one for name, one in signature.parameters.items() if name not in taken]
    run.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    run.cases = grouped  # type: ignore[attr-defined]
    return run


def _row(value: Any, width: int) -> tuple[tuple[Any, ...], str]:
    """The values of a case, and its name if it is a ``pytest.param`` with one."""
    if isinstance(value, PARAM):
        if value.marks:
            raise TypeError("one case of many cannot have marks")
        return tuple(value.values), str(value.id or "")
    return tuple(value) if width > 1 else (value,), ""


def _label(row: tuple[Any, ...], ids: Sequence[str] | Callable[[Any], object] | None, at: int) -> str:
    if callable(ids):
        named = [ids(value) for value in row]
        return "-".join(str(value if name is None else name) for name, value in zip(named, row, strict=True))
    if ids is not None:
        return ids[at]
    return "-".join(getattr(value, "__name__", None) or _short(value) for value in row)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _report(failed: list[tuple[str, Any]], count: int) -> str:
    lines = [f"{len(failed)} of {count} cases failed:"]
    for label, error in failed:
        first_line = str(error).partition("\n")[0]
        lines.append(f"  [{label}] {type(error).__name__}: {first_line}")
    for label, error in failed[:MAX_SHOWN]:
        frames = traceback.format_exception(type(error), error, error.__traceback__)
        lines += ["", f"[{label}]", "".join(frames).rstrip()]
    return "\n".join(lines)
