"""Forms as bodies (``multipart/form-data``, RFC 7578): the one part that names a model, and nothing else.

Each line is looked at a bounded number of times: a pattern over the whole of it would go back and forth.
"""

from __future__ import annotations

import re

_BOUNDARY = re.compile(
    rb'multipart/form-data\s*;.*?\bboundary=(?:"([^"]{1,200})"|([^\s;]{1,200}))', re.IGNORECASE
)
#: A line that names its part so.
_NAMES_MODEL = re.compile(rb'content-disposition:.*;\s?name="?model"?\s*(?:;|\Z)', re.IGNORECASE)
#: So many lines stand before a part, each up to so many bytes; and bytes of a model's name.
_MOST_LINES = 16
_MAX_LINE_BYTES = 1024
_MAX_NAME_BYTES = 256
_END = b"\r\n"


def boundary_of(kind: bytes) -> bytes | None:
    """What stands between the parts of a form; ``None``: the body is none.

    :param kind: the type of the body.
    """
    found = _BOUNDARY.match(kind)
    return None if found is None else b"--" + (found[1] or found[2])


def model_in(form: bytes, boundary: bytes) -> tuple[int, int] | None:
    """Where the value of the member ``model`` begins and ends; ``None``: it is not there, or not whole.

    :param form: its beginning.
    :param boundary: see :func:`boundary_of`.
    """
    at = form.find(boundary)
    while at >= 0:
        at += len(boundary)
        value = _value_of(form, at, _END + boundary)
        if value is not None:
            return value
        at = form.find(boundary, at)
    return None


def _value_of(form: bytes, at: int, behind: bytes) -> tuple[int, int] | None:
    """The value of the part at this place, if it is the model's.

    :param behind: what follows a value.
    """
    named = False
    for _ in range(_MOST_LINES):
        if not form.startswith(_END, at) or form.startswith(behind, at):
            return None
        at += len(_END)
        end = form.find(_END, at, at + _MAX_LINE_BYTES)
        if end == at:
            break
        if end < 0:
            return None
        named = named or _NAMES_MODEL.match(form, at, end) is not None
        at = end
    else:
        return None
    if not named:
        return None
    at += len(_END)
    end = form.find(behind, at, at + _MAX_NAME_BYTES + len(behind))
    if end <= at or b"\r" in form[at:end] or b"\n" in form[at:end]:
        return None
    return at, end
