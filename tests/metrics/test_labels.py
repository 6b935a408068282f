"""How many values a label can have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ampproxy.metrics.labels import OTHER, LabelValues


@given(st.lists(st.text(max_size=200), max_size=300), st.booleans())
def test_bound(values: list[str], learn: bool) -> None:
    """Whatever comes, there are no more values than places, the configured ones, "other" and none at all."""
    names = LabelValues(5)
    names.configure(["one", "two"])
    found = {names.of(value, learn=learn) for value in values}
    assert len(found) <= 5 + 2 + 2
    assert all(len(value) <= 120 for value in found)


def test_places() -> None:
    """First come, first served; what is configured needs no place; what may not be learnt takes none."""
    names = LabelValues(2)
    names.configure(["configured"])
    assert names.of("free", learn=False) == OTHER
    assert [names.of(value) for value in ("a", "b", "c", "a", "configured", "")] == [
        "a", "b", OTHER, "a", "configured", "",
    ]  # fmt: skip
    names.configure(["c"], 3)
    assert [names.of(value) for value in ("c", "configured", "d", "a")] == ["c", "configured", OTHER, "a"]


def test_long_names() -> None:
    """A configured name may be long; a label is not."""
    names = LabelValues(2)
    names.configure(["x" * 500])
    assert names.of("x" * 500) == "x" * 120
    assert names.of("y" * 500) == OTHER
