"""Damaged copies of the vectors: changed bytes, and JSON whose values are not what they should be."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent.parent / "vectors"
DEEP = 3000

#: Values that nobody expects where they are put.
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    2**70,
    "",
    " ",
    "\ud83d",
    "\u2028data: x\r\n\r\n",
    "x" * 5000,
    "data:image/png;base64,!!!",
    "data:,",
    "{",
    "null",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"": None},
    {"type": "text"},
    {"type": "nobody_knows"},
    {"type": ["text"]},
    {"text": 1},
    {"function": None},
    {"$ref": "#"},
    {"type": "object", "properties": []},
)


def requests(dialect: str) -> list[bytes]:
    """The requests of a dialect's vectors, and those like Amp's."""
    own = sorted((VECTORS / dialect / "requests").glob("*.json"))
    return [path.read_bytes() for path in (*own, *sorted((VECTORS / "amp").glob(f"{dialect}*.json")))]


def answers(dialect: str) -> list[bytes]:
    """Its whole answers."""
    return [path.read_bytes() for path in sorted((VECTORS / dialect).glob("*.json"))]


def streams(dialect: str) -> list[bytes]:
    """Its streams."""
    return [path.read_bytes() for path in sorted((VECTORS / dialect).glob("*.sse"))]


def damaged(data: bytes, seed: int) -> bytes:
    """One of the many damaged copies of a body or a stream; the same seed gives the same copy."""
    dice = random.Random(seed)
    if dice.random() < 0.6:
        data = _with_odd_values(data, dice)
    return _with_odd_bytes(data, dice) if dice.random() < 0.5 else data


def _with_odd_values(data: bytes, dice: random.Random) -> bytes:
    lines = data.split(b"\n")
    wire = [number for number, line in enumerate(lines) if line.startswith(b"data: {")]
    if not wire:
        return _odd_json(data, dice)
    for number in dice.choices(wire, k=dice.randint(1, 2)):
        lines[number] = b"data: " + _odd_json(lines[number][6:], dice)
    return b"\n".join(lines)


def _odd_json(text: bytes, dice: random.Random) -> bytes:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for _ in range(dice.randint(1, 3)):
        value = _bent(value, dice)
    if dice.random() < 0.03:
        return json.dumps(value).encode()[:-1] + b',"deep":' + b'[{"a":' * DEEP
    if dice.random() < 0.05:
        return _deepened(value, dice)
    return json.dumps(value, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


def _deepened(value: Any, dice: random.Random) -> bytes:
    """Valid JSON, one of whose values is nested without end."""
    value = _bent(value, dice, odd=lambda: "@deep@")
    text = json.dumps(value).encode()
    return text.replace(b'"@deep@"', b"[" * DEEP + b"]" * DEEP, 1)


def _bent(value: Any, dice: random.Random, odd: Callable[[], Any] | None = None) -> Any:
    """The value with something in it replaced, removed or doubled."""
    inside = isinstance(value, dict | list) and len(value) > 0
    if not inside or dice.random() < 0.08:
        return odd() if odd is not None else dice.choice(ODD)
    if isinstance(value, dict):
        key = dice.choice(list(value))
        if odd is None and dice.random() < 0.1:
            return {name: member for name, member in value.items() if name != key}
        return {**value, key: _bent(value[key], dice, odd)}
    at = dice.randrange(len(value))
    if odd is None and dice.random() < 0.1:
        return [*value, value[at]]
    return [*value[:at], _bent(value[at], dice, odd), *value[at + 1 :]]


def _with_odd_bytes(data: bytes, dice: random.Random) -> bytes:
    body = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(body) + 1)
        match dice.randrange(5):
            case 0:
                body[at:at] = bytes([dice.randrange(256)])
            case 1:
                body[at : at + 1] = bytes([dice.randrange(256)])
            case 2:
                del body[at : at + dice.randint(1, 40)]
            case 3:
                body[at:at] = body[at : at + dice.randint(1, 60)]
            case _:
                body[at:at] = dice.choice(
                    (b'"', b"\\", b"\n\n", b"\r", b"\xff", b"\xe2\x80\xa8", b"null", b"{[")
                )
    return bytes(body)
