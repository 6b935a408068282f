"""Cases that are grouped in one test lose nothing of what they are as tests of their own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import each, together


def seen_by(*decorators: Callable[[Any], Any]) -> list[tuple[int, str]]:
    seen = []

    def test(number: int, word: str) -> None:
        seen.append((number, word))

    for decorate in decorators:
        test = decorate(test)
    test()  # type: ignore[call-arg]
    return seen


def test_every_value_is_tried() -> None:
    """One by one, as rows, or each with each, in the order of parametrize."""
    pairs = [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert seen_by(each(("number", "word"), pairs)) == pairs
    assert seen_by(each("number, word", pairs)) == pairs
    assert seen_by(each("word", "ab"), each("number", [1, 2])) == pairs


def test_all_failures_are_reported() -> None:
    """A case that fails keeps none of the others from being tried, and the error names each that failed."""
    seen = []

    @each("number", [1, 2, 3, 4])
    def test(number: int) -> None:
        seen.append(number)
        if number == 4:
            raise ValueError("no such number")
        if number == 3:
            pytest.fail("by hand")
        assert number != 2, "it is two"

    with pytest.raises(AssertionError) as caught:
        test()
    assert seen == [1, 2, 3, 4]
    text = str(caught.value)
    assert text.startswith("3 of 4 cases failed:")
    for words in ("[2] AssertionError: it is two", "[3] Failed: by hand", "[4] ValueError: no such number"):
        assert words in text
    assert "test_cases.py" in text, "where it failed is missing"
    assert isinstance(caught.value.__cause__, AssertionError)


@pytest.mark.parametrize(
    ("ids", "label"),
    [
        (None, "[7-x]"),
        (["seventh"], "[seventh]"),
        ({"seventh": 7}, "[seventh]"),
        (lambda value: f"<{value}>", "[<7>-<x>]"),
    ],
)
def test_cases_have_names(ids: Any, label: str) -> None:
    """As parametrize would name them."""

    @each(("number", "word"), [(7, "x")], ids=ids)
    def test(number: int, word: str) -> None:
        raise AssertionError

    with pytest.raises(AssertionError) as caught:
        test()
    assert label in str(caught.value)


def test_param() -> None:
    """A case may bring its name; a mark, which would be lost, is refused."""

    @each(("number", "word"), [pytest.param(1, "a", id="first")])
    def test(number: int, word: str) -> None:
        assert (number, word) == (0, "")

    with pytest.raises(AssertionError, match=r"\[first\] AssertionError: assert \(1, 'a'\)"):
        test()
    with pytest.raises(TypeError, match="marks"):
        each("number", [pytest.param(1, marks=pytest.mark.skip)])


def test_what_is_not_given_stays_an_argument() -> None:
    """So that pytest passes the fixtures, and the values of parametrize."""

    @each("number", [1])
    def test(number: int, tmp_path: object) -> None:
        raise AssertionError

    assert list(inspect.signature(test).parameters) == ["tmp_path"]


def test_marks_are_kept() -> None:
    """Wherever they stand among the decorators."""

    @each("number", [1])
    @pytest.mark.loopback
    @each("word", ["a"])
    def test(number: int, word: str) -> None:
        pass

    assert [mark.name for mark in test.pytestmark] == ["loopback"]


def test_skips() -> None:
    """A test is skipped if all of its cases are, and if there are none."""

    @each("number", [1, 2])
    def some(number: int) -> None:
        if number == 1:
            pytest.skip("not one")

    @each("number", [1, 2])
    def none(number: int) -> None:
        pytest.skip("not at all")

    @each("number", [])
    def empty(number: int) -> None:
        raise AssertionError

    some()
    for test, reason in ((none, "not at all"), (empty, "no cases")):
        with pytest.raises(pytest.skip.Exception, match=reason):
            test()


def test_functions_of_parameters_alone_are_grouped() -> None:
    """With every case that they have alone, and their other marks."""
    seen = []

    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.loopback
    @pytest.mark.parametrize(("word", "flag"), [("a", True), pytest.param("b", False, id="no")])
    def test(number: int, word: str, flag: bool) -> None:
        seen.append((number, word, flag))
        assert number == 1, "it is two"

    grouped = together(test)
    assert grouped is not None
    with pytest.raises(AssertionError, match=r"(?s)2 of 4 cases failed:.*\[a-True-2\].*\[no-2\]"):
        grouped()
    assert sorted(seen) == [(1, "a", True), (1, "b", False), (2, "a", True), (2, "b", False)]
    assert [mark.name for mark in grouped.pytestmark] == ["loopback"]  # type: ignore[attr-defined]
    assert len(test.pytestmark) == 3


def a_fixture(number: int, tmp_path: object) -> None: ...


@given(drawn=st.integers())
def examples(number: int, drawn: int) -> None: ...


@each("number", [1])
def cases(number: int) -> None: ...


def plain(number: int) -> None: ...


@each(
    "test, values",
    [
        (a_fixture, [1]),
        (examples, [1]),
        (cases, [1]),
        (plain, iter([1])),
        (plain, [pytest.param(1, marks=pytest.mark.skip)]),
    ],
    ids=["a fixture", "examples", "cases", "values that are taken once", "a case with a mark"],
)
def test_others_stay_as_they_are(test: Any, values: Any) -> None:
    """What a group has no place for is given anew for each case, by pytest."""

    def copy(number: int) -> None: ...

    test = functools.update_wrapper(copy, test)
    assert together(pytest.mark.parametrize("number", values)(test)) is None
    assert together(test) is None


def test_plain_one_is_grouped() -> None:
    """The function of which the others differ."""
    assert together(pytest.mark.parametrize("number", [1])(plain)) is not None
