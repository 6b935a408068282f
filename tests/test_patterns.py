"""No regular expression of the package takes more than linear time, whatever text somebody makes up for it.

The patterns are found by looking through the modules' objects and through their sources, so a new one is
measured without being named here. The few whose use or source cannot be seen so stand in :data:`AT_A_PLACE`
and :data:`MADE`.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from math import inf
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from ampproxy.amp import routes, site
from ampproxy.catalog import hosts
from ampproxy.config import edit
from ampproxy.desktop.clients import dotenv
from ampproxy.routing import vendor_calls
from ampproxy.wire import json, jsonpath, redact
from ampproxy.wire.late import LatePattern
from tests.cases import each
from tests.tree import module_of, nodes_of, places, text_of, tree_of

# How re reads a pattern, which has had these names since 3.11.
_READER = ("re._parser", "re._constants") if sys.version_info >= (3, 11) else ("sre_parse", "sre_constants")
parser, codes = map(importlib.import_module, _READER)

#: Characters of the texts; each pattern is measured at this and at the double of it.
SIZE = 2000
#: Seconds of the processor that a text of ``2 * SIZE`` characters may take without a closer look: a pattern
#: that is quadratic takes fifty times as long.
QUICK = 0.0015
#: Parts of that text, an eighth and a quarter, with the seconds for one below which no more of the text is
#: looked at. A quadratic pattern that takes ``QUICK`` for the whole takes a 16th of it for a quarter; half of
#: that leaves room for steeper ones.
PARTS = tuple((SIZE // part * 2, QUICK / (2 * part * part)) for part in (8, 4))
#: How many times as long as for :data:`FEW` characters that quarter may take, below which the whole text is
#: not looked at either. What is linear takes 5 times as long; what takes :data:`RATIO` times as long for
#: twice the text, because a part of it is quadratic, takes 5.65 times as long.
RATIO_OF_QUARTER = 5.5
#: Characters of a short text.
FEW = 200
#: How many times as long a text may take that is twice as long.
RATIO = 2.5
#: How often both are measured at the most; and where the longer one takes more than :data:`ABSOLUTE`. Where
#: it takes four times that, once is enough.
MOST_ROUNDS, SOME_ROUNDS = 30, 2
#: Seconds that no text may take, however linear it is.
ABSOLUTE = 0.05


#: Patterns that are quadratic where they are searched for, and that are never searched for: by the module and
#: the beginning of their source, why a text is only looked at in one place.
AT_A_PLACE: dict[tuple[str, str], str] = {
    (
        "ampproxy.wire.jsonc",
        '"(?:[^',
    ): "_end_of() has it match where a string begins, and raises where it does not",
}

#: What makes a pattern of something that is not in the source, by module and function -> patterns as it makes
#: them.
MADE: dict[tuple[str, str], Callable[[], Iterable[re.Pattern[Any]]]] = {
    ("ampproxy.amp.routes", "_compiled"): lambda: (pattern for _, pattern in routes._compiled()),
    ("ampproxy.amp.site", "_pattern"): lambda: (site._pattern("https", "amp.test:8443", "/a/b")[0],),
    # The owner's own; tests/routing/test_mappings.py holds that it stops nobody.
    ("ampproxy.config.ampcode", "_mapping"): tuple,
    # Found where they are held.
    ("ampproxy.wire.late", "compiled"): tuple,
    # Stand-ins of the vendors, whose clients are the tests'.
    ("ampproxy.testing.schema", "matching"): tuple,
    ("ampproxy.testing.vendor", "__init__"): tuple,
    ("ampproxy.adapt.names", "__init__"): lambda: (
        re.compile(r"[^a-zA-Z0-9_-]"),
        re.compile(r"^[^a-zA-Z_]|[^a-zA-Z0-9_.:-]"),
    ),
    ("ampproxy.desktop.clients.dotenv", "_line"): lambda: (dotenv._line("GEMINI_API_KEY"),),
    # A line of a file of the user's own, up to the name of a table.
    ("ampproxy.desktop.clients.toml", "_prove"): tuple,
    ("ampproxy.catalog.hosts", "_address"): lambda: (hosts._address("*.example.com:*/v1"),),
    ("ampproxy.wire.json", "_key"): lambda: (json._key("model")[1], json._key('a\\"b')[1]),
    ("ampproxy.config.edit", "_above_pattern"): lambda: (edit._above_pattern("api-keys"),),
    ("ampproxy.wire.jsonpath", "_piece"): lambda: (jsonpath._piece("a?c"), jsonpath._piece("")),
    ("ampproxy.routing.vendor_calls", "_compiled"): lambda: (
        vendor_calls._compiled(route.path) for route in vendor_calls.ROUTES
    ),
    ("ampproxy.wire.redact", "_shapes"): lambda: (pattern for _, pattern, _ in redact._shapes()),
}


#: Modules whose made patterns are only compared with a whole text.
WHOLE = ("ampproxy.amp.routes", "ampproxy.catalog.hosts", "ampproxy.routing.vendor_calls")


#: How many ways there may be to match at one place for a pattern not to be measured: a text of ``2 * SIZE``
#: characters takes a step for each of them at each place, a part of :data:`ABSOLUTE`.
FEW_WAYS = 200


class Found(NamedTuple):
    """A pattern of the package, and how it is put to use."""

    where: str
    pattern: re.Pattern[Any]
    anchored: bool

    @property
    def source(self) -> str:
        source: str | bytes = self.pattern.pattern
        return source.decode("latin-1") if isinstance(source, bytes) else source


#: The same for a text of 50 characters. With no more than two repeats in a row, and none within another, a
#: pattern comes to the end of a longer text in seconds.
FEW_AT_FIFTY = 51**2


def ways(parsed: Any, limit: float = FEW_WAYS, longest: float = inf) -> float:
    """In how many ways a pattern, or a part of it, may match at one place; ``inf`` above a limit.

    :param longest: characters of the text: a repeat has no more turns than this.
    """
    count = 1.0
    for kind, value in parsed:
        if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            least, most, part = value
            most = min(int(most), longest)
            if most > limit:
                return inf
            inner = ways(part, limit, longest)
            count *= 1 if least >= most and inner == 1 else sum_of_powers(inner, least, int(most), limit)
        elif kind is codes.BRANCH:
            count *= sum(ways(one, limit, longest) for one in value[1])
        elif kind is codes.SUBPATTERN:
            count *= ways(value[3], limit, longest)
        elif kind in (codes.ASSERT, codes.ASSERT_NOT):
            count *= ways(value[1], limit, longest)
        elif kind not in SINGLE:
            return inf
        if count > limit:
            return inf
    return count


def sum_of_powers(base: float, least: int, most: int, limit: float) -> float:
    """Of one number, up to a limit."""
    total, power = 0.0, base ** min(least, 64)
    for _ in range(least, most + 1):
        total += power
        if total > limit:
            return inf
        power *= base
    return total


#: Parts of a pattern that match one character, or none, in one way.
SINGLE = (codes.LITERAL, codes.NOT_LITERAL, codes.IN, codes.ANY, codes.AT)


def ways_of(one: Found, limit: float = FEW_WAYS, longest: float = inf) -> float:
    parsed = parser.parse(one.pattern.pattern, one.pattern.flags & ~re.DEBUG)
    return ways(parsed, limit, longest)


def loaded(place: str) -> ModuleType:
    return importlib.import_module(f"ampproxy.{module_of(place)}".removesuffix(".__init__"))


def modules() -> list[str]:
    """The places of all modules but those that run when they are loaded."""
    return [place for place in places() if not place.endswith("__main__.py")]


def held(value: object, seen: set[int], depth: int = 0) -> Iterator[re.Pattern[Any]]:
    """Every pattern that an object holds, in containers and attributes of the package's own classes."""
    if id(value) in seen or depth > 6:
        return
    seen.add(id(value))
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, LatePattern):
        yield value.compiled
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from held(key, seen, depth + 1)
            yield from held(item, seen, depth + 1)
    elif isinstance(value, (tuple, list, set, frozenset)):
        for item in value:
            yield from held(item, seen, depth + 1)
    elif type(value).__module__.startswith("ampproxy") or isinstance(value, type):
        owner = value if isinstance(value, type) else type(value)
        if not owner.__module__.startswith("ampproxy"):
            return
        names = {name for one in owner.__mro__ for name in getattr(one, "__slots__", ())}
        members = [getattr(value, name, None) for name in names]
        for member in (*members, *getattr(value, "__dict__", {}).values()):
            yield from held(member, seen, depth + 1)


@cache
def written(place: str) -> Collection[tuple[str, str, ast.expr]]:
    """The calls such as ``re.sub``: the function that they are in, the one that is called, the pattern."""

    def within(node: ast.AST, name: str) -> Iterator[tuple[str, str, ast.expr]]:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else name
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.args:
                owner = child.func.value
                if (
                    isinstance(owner, ast.Name)
                    and owner.id == "re"
                    and child.func.attr in (*METHODS, "compile")
                ):
                    yield inner, child.func.attr, child.args[0]
            yield from within(child, inner)

    return tuple(within(tree_of(place), "")) if re.search(r"\bre\b", text_of(place)) else ()


METHODS = frozenset(
    ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer", "scanner")
)
#: Methods that look only at the beginning of a text.
AT_BEGINNING = frozenset(("match", "fullmatch"))


def uses(place: str) -> dict[str, set[str]]:
    """By name of a variable or an attribute, the methods that are called of it in a module."""
    found: dict[str, set[str]] = {}
    for node in nodes_of(place):
        if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
            name = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            found.setdefault(name, set()).add(node.attr)
    return found


@cache
def patterns() -> tuple[Found, ...]:
    """All of them, each once, in its dearest use."""
    found: dict[tuple[Any, int], Found] = {}
    for place in modules():
        kept = {name: (value, [*held(value, set())]) for name, value in vars(loaded(place)).items()}
        module = loaded(place).__name__
        used = uses(place) if any(inner for _, inner in kept.values()) else {}
        for name, (value, inner) in kept.items():
            methods = used.get(name, set()) & METHODS
            plain = isinstance(value, (re.Pattern, LatePattern))
            for pattern in inner:
                _keep(
                    found,
                    Found(module, pattern, plain and bool(methods) and methods <= AT_BEGINNING),
                    methods,
                )
        for function, method, argument in written(place):
            if isinstance(argument, ast.Constant) and (function or method != "compile"):
                pattern = re.compile(argument.value)
                _keep(found, Found(module, pattern, method in AT_BEGINNING), {method})
    for (module, _), make in MADE.items():
        for pattern in make():
            _keep(found, Found(module, pattern, module in WHOLE), {"search"})
    # In an order that does not depend on sets: the workers of a run must see the same tests.
    return tuple(sorted(map(_at_a_place, found.values()), key=lambda one: (one.where, one.source)))


def _at_a_place(one: Found) -> Found:
    source = one.source
    placed = any(one.where == where and source.startswith(start) for where, start in AT_A_PLACE)
    return one._replace(anchored=True) if placed else one


def _keep(found: dict[tuple[Any, int], Found], one: Found, methods: set[str]) -> None:
    key = one.pattern.pattern, one.pattern.flags
    if key not in found or (methods and found[key].anchored and not one.anchored):
        found[key] = one


# -- texts that are made up for a pattern


def literals(source: str) -> list[str]:
    """What a text must hold to please a pattern: the runs of its source that stand for themselves, alone and
    two in a row.
    """
    plain = re.sub(r"\\[bBAZdDwWsS]|\(\?[:=!<#P>]+|\{\d*,?\d*\}|\[\^?|[()|?*+\]^$]", "\t", source)
    plain = re.sub(r"\\(.)", r"\1", plain)
    runs = [run for run in plain.split("\t") if run.strip() and len(run) < 40][:40]
    pairs = [a + b for a, b in itertools.pairwise(runs) if len(a + b) < 40]
    return list(dict.fromkeys([*runs, *pairs, plain.replace("\t", "")[:60].strip() or "x"]))


FILLERS = (*"a0-._/: \t\n\"'\\{<>=,;@A", "a1", "1s", "a ", " a", "a.", "://", '\\"', "é", "-a", " =", "a:")
ENDS = ("", "!", "\n", "@")


def texts(source: str, flags: int = 0) -> Iterator[Callable[[int], str]]:
    """Texts by their length: what leads to a repeat and then what is behind it, over and over; each literal
    over and over, with every end, and each once before a filler.
    """
    words = literals(source)
    for lead, piece in dict.fromkeys(filled(parser.parse(source, flags & re.VERBOSE))):
        if piece:
            yield lambda size, lead=lead, piece=piece: lead + piece * (size // len(piece))
    for piece, end in itertools.product((*words, *("-" + word for word in words), *FILLERS), ENDS):
        yield lambda size, piece=piece, end=end: piece * (size // len(piece)) + end
    for first, filler in itertools.product(words[:12], FILLERS):
        yield lambda size, first=first, filler=filler: first + filler * (size // len(filler))
        part = first + filler * 20
        yield lambda size, part=part: part * (size // len(part) + 1)


#: Categories of characters, and one of each; of all others a letter will do.
ONE_OF = {codes.CATEGORY_DIGIT: "1", codes.CATEGORY_SPACE: " ", codes.CATEGORY_NOT_WORD: " "}
#: A repeat that may have so many turns is worth to be filled; so many parts behind it fill it.
TURNS, PARTS_BEHIND = 30, 15


def sample(parsed: Iterable[Any]) -> str:
    """A text that a pattern, or a part of it, may well match: the shortest of its first choices."""
    out = ""
    for kind, value in parsed:
        if kind is codes.LITERAL:
            out += chr(value)
        elif kind is codes.IN:
            out += one_of(value)
        elif kind in (codes.ANY, codes.NOT_LITERAL):
            out += "a"
        elif kind in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            least, _, part = value
            out += sample(part) * min(least, TURNS)
        elif kind is codes.BRANCH:
            out += sample(value[1][0])
        elif kind is codes.SUBPATTERN:
            out += sample(value[3])
    return out


def one_of(characters: Iterable[Any]) -> str:
    """A character of a class."""
    for kind, value in characters:
        if kind is codes.LITERAL:
            return chr(value)
        if kind is codes.RANGE:
            return chr(value[0])
        if kind is codes.CATEGORY:
            return ONE_OF.get(value, "a")
    return "a"


def filled(parsed: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """For each repeat of a pattern what leads to it, and what is behind it, which may fill it as well."""
    parts = list(parsed)
    for place, (kind, value) in enumerate(parts):
        lead = before + sample(parts[:place])
        if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            if value[1] > TURNS:
                behind = parts[place + 1 :]
                yield from ((lead, sample(behind[:count])) for count in range(1, PARTS_BEHIND + 1))
            yield from filled(value[2], lead)
        elif kind is codes.SUBPATTERN:
            yield from filled(value[3], lead)
        elif kind is codes.BRANCH:
            for branch in value[1]:
                yield from filled(branch, lead)


def taken(look: Callable[[Any], object], text: Any, rounds: int = 1, enough: float = 0) -> float:
    """Seconds of this thread, at the best of some rounds.

    :param enough: seconds below which no more rounds are taken.
    """
    best = float("inf")
    for _ in range(rounds):
        began = time.thread_time()
        look(text)
        best = min(best, time.thread_time() - began)
        if best < enough:
            break
    return best


def at_most(look: Callable[[Any], object], text: Any) -> float:
    """Seconds by the clock on the wall, which is quickly read: never less than :func:`taken`."""
    began = time.perf_counter()
    look(text)
    return time.perf_counter() - began


def compared(look: Callable[[Any], object], text: Any, long: Any) -> tuple[float, float]:
    """Seconds for a text and for one twice as long: until they are as they should be, since whatever else
    the machine does only adds to them.
    """
    single = double = inf
    for number in range(MOST_ROUNDS):
        single, double = min(single, taken(look, text)), min(double, taken(look, long))
        if double < QUICK or (number and double <= min(ABSOLUTE, RATIO * single)):
            break
        # No other work makes that much of what is linear.
        if double > (ABSOLUTE if number >= SOME_ROUNDS else 4 * ABSOLUTE):
            break
    return single, double


def complaint(one: Found) -> str:
    """What is wrong with a pattern; empty if nothing is."""
    if ways_of(one) <= FEW_WAYS:
        return ""
    pattern, is_bytes = one.pattern, isinstance(one.pattern.pattern, bytes)
    look = pattern.match if one.anchored else (lambda text: pattern.sub(text[:0], text))
    # In steps: a pattern that is exponential would never come to the end of a long text.
    steps = (16, 22, FEW) if ways_of(one, FEW_AT_FIFTY, 50) > FEW_AT_FIFTY else ()
    for text in texts(one.source, pattern.flags):

        def made(size: int, text: Callable[[int], str] = text) -> Any:
            return text(size).encode() if is_bytes else text(size)

        for size in steps:
            if (
                at_most(look, short := made(size)) > ABSOLUTE
                and (seconds := taken(look, short, 2, ABSOLUTE)) > ABSOLUTE
            ):
                return f"{text(20)!r}: {seconds:.2f} s with {size} characters"
        if any((quarter := at_most(look, made(size))) < quick for size, quick in PARTS):
            continue
        short = made(FEW)
        few = min(at_most(look, short) for _ in range(2))
        if quarter < min(RATIO_OF_QUARTER * few, ABSOLUTE / 8):
            continue
        long = made(2 * SIZE)
        if at_most(look, long) < QUICK:
            continue
        # Where a cache of the processor ends the time may jump once; what is quadratic only gets worse.
        for size in (SIZE, 2 * SIZE):
            single, double = compared(look, made(size), made(2 * size))
            if double < QUICK or double <= min(ABSOLUTE, RATIO * single):
                break
            # Twice as long would take longer still.
            if double > ABSOLUTE:
                return slow(text, single, double)
        else:
            return slow(text, single, double)
    return ""


def slow(text: Callable[[int], str], single: float, double: float) -> str:
    return f"{text(20)!r}...: {single * 1000:.1f} ms, twice as long {double * 1000:.1f} ms"


# -- the tests


#: Tests that share the patterns among them, so that the workers of a run can.
SHARES = 8


@pytest.mark.parametrize("share", range(SHARES))
def test_no_text_is_slow(share: int) -> None:
    """A text twice as long takes twice the time, whoever wrote it to take longer."""
    measured = {f"{one.where}: {one.source[:30]!r}": complaint(one) for one in patterns()[share::SHARES]}
    assert measured
    assert {name: found for name, found in measured.items() if found} == {}


@pytest.mark.parametrize(
    "source",
    [
        *(r"(a+)+b", r"x\w*y", r"input token count .*exceeds", r"<title[^>]*>(.*?)</title>"),
        r"\beyJ[a-z-]{8,}\.",
        r"(--B\r\n(?:[^\r\n]+\r\n){0,8}?kind:[^\r\n]*;\s?name=x\s*(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n){0,8}\r\n)y",
    ],
)
def test_the_measure_finds_what_is_slow(source: str) -> None:
    """The texts that are made up are good enough: exponential and quadratic patterns are found."""
    assert complaint(Found("here", re.compile(source, re.IGNORECASE), False))


@pytest.mark.parametrize("source", [r"a{1,3}(?:b|c)?d", r"\b[a-z]{2,6}[ _](?:key|token)\b", "(?i)x|y|^z$"])
def test_few_ways(source: str) -> None:
    """What has an end after a few steps at each place of a text needs no measure."""
    assert ways_of(Found("here", re.compile(source), False)) <= FEW_WAYS


@pytest.mark.parametrize(
    "source",
    [r"a+b", r"a{3,}?b", r"(?:a?){30}b", r"(?:a|b|aa){6}", r"\w{0,20}\w{0,20}x", r"(a|b)\1", r"(?=a*b)c"],
)
def test_many_ways(source: str) -> None:
    """Repeats without an end, one in another, or one after the other; and what is not known."""
    assert ways_of(Found("here", re.compile(source), False)) > FEW_WAYS


@pytest.mark.parametrize(
    ("source", "steps"),
    [
        (r"x\w*y", False),
        (r"\w*a{1,40}x", False),
        (r"\w*\d*[a-z]*x", True),
        (r"(a+)+b", True),
        (r"(?:a|b|aa)*c", True),
        (r"(?:a?){30}b", True),
    ],
)
def test_steps(source: str, steps: bool) -> None:
    """What may take the third power of a text's length, or more, is tried with short texts first."""
    assert (ways_of(Found("here", re.compile(source), False), FEW_AT_FIFTY, 50) > FEW_AT_FIFTY) is steps


def test_patterns_are_found() -> None:
    """Where they stand does not matter: a table of objects, a function, one that is made when needed."""
    sources = {one.source for one in patterns()}
    for part in ("model_not_", "<title", "resets_in_seconds", "eyJ", "api/provider", r"\d{9,14}", "sgamp_"):
        assert any(part in source for source in sources), part


def test_made_patterns_are_known() -> None:
    """Whatever makes a pattern of something else than its own source has an example here."""
    found = {
        (loaded(place).__name__, function)
        for place in modules()
        for function, _, argument in written(place)
        if function and not isinstance(argument, ast.Constant)
    }
    assert found == set(MADE)


def test_placed_patterns_are_there() -> None:
    """No exception outlives its pattern."""
    for where, start in AT_A_PLACE:
        assert any(one.where == where and one.source.startswith(start) for one in patterns()), start


SEEDS = sorted({seed for one in redact._shapes() for seed in literals(one[1].pattern)} | set(redact._HINTS))


@each("seed", SEEDS)
def test_redactor_is_linear(seed: str) -> None:
    """What cuts secrets out of a text takes time by its length, all shapes together."""
    redactor = redact.Redactor([redact.Secret(f"known-{number}-0123456789") for number in range(20)])
    for piece, end in itertools.product(
        (seed, "-" + seed, seed + "a", seed + ".", seed + " ", seed + ":"), ENDS
    ):
        text = piece * (2 * SIZE // len(piece))
        if taken(redactor.text, text + end) < 4 * QUICK:
            continue
        double = taken(redactor.text, text + end, 5)
        single = taken(redactor.text, text[:SIZE] + end, 5)
        assert double < ABSOLUTE, (piece, end)
        assert double < RATIO * max(single, QUICK), (piece, end)
