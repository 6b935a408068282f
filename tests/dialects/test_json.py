"""One reader of a client's JSON: what is wrong is named by its place, what nobody took keeps its text."""

from __future__ import annotations

import pytest

from ampproxy.dialects.json import Fields
from ampproxy.errors import ClientFault
from ampproxy.model.base import Json

TEXT = b'{"s":"x","n":null,"i":5,"o":{"k":1.0E2,"z":null},"rest":[1, 2],"none":null}'


def test_taken_and_left() -> None:
    """What is taken is typed; what is left keeps its exact text, ``null`` too unless it is unwanted."""
    fields = Fields(TEXT, "at")
    assert (fields.take("s", str), fields.take("n", str), fields.take("no", int)) == ("x", None, None)
    assert fields.need("i", int) == 5
    inner = fields.need_object("o")
    assert (inner.at, inner.left) == ("at.o", {"k": Json(b"1.0E2")})
    assert fields.left == {"rest": Json(b"[1, 2]"), "none": Json(b"null")}
    assert fields.remaining() == {"rest": Json(b"[1, 2]")}
    assert "none" not in Fields(TEXT, nulls=False).left
    assert fields.take_object("none") is None


@pytest.mark.parametrize(
    ("read", "place"),
    [
        (lambda fields: fields.need("no", str), "at.no"),
        (lambda fields: fields.need("n", str), "at.n"),
        (lambda fields: fields.need_raw("n"), "at.n"),
        (lambda fields: fields.need_object("no"), "at.no"),
        (lambda fields: fields.take("i", str), "at.i"),
        (lambda fields: fields.take_object("i"), "at.i"),
        (lambda fields: fields.need_object("o").take("k", bool), "at.o.k"),
    ],
)
def test_what_is_wrong_is_named(read, place) -> None:
    """The error of a member that is missing or of another type names it."""
    with pytest.raises(ClientFault) as wrong:
        read(Fields(TEXT, "at"))
    assert wrong.value.error.param == place
    with pytest.raises(ClientFault):
        Fields(b"[]", "at")
