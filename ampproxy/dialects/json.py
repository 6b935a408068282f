"""JSON, as all dialects read it: with errors that name the member.

What is taken is typed; what is left keeps its exact text. No wire format of any one dialect is known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeVar

from msgspec import ValidationError
from msgspec.json import Decoder as Decoder

from ampproxy.errors import ClientFault, UnreadableAnswer
from ampproxy.model.base import Json
from ampproxy.wire.json import BAD_JSON
from ampproxy.wire.late import LatePattern
from ampproxy.wire.values import NULL as NULL
from ampproxy.wire.values import Members as Members
from ampproxy.wire.values import bytes_of, sound, whole_surrogates
from ampproxy.wire.values import encode as encode
from ampproxy.wire.values import is_object as is_object
from ampproxy.wire.values import loads as loads
from ampproxy.wire.values import object_or_empty as object_or_empty
from ampproxy.wire.values import raw_str as raw_str
from ampproxy.wire.values import raw_text as raw_text
from ampproxy.wire.values import text_of as text_of
from ampproxy.wire.values import to_raw as to_raw
from ampproxy.wire.values import without_nulls as without_nulls

T = TypeVar("T")
U = TypeVar("U")
F = TypeVar("F", bound="Fields")

#: The members of an object, and the items of an array, uninterpreted.
MEMBERS: Final = Decoder(Members)
ITEMS: Final = Decoder(list[Json])
#: So many members of other kinds than the dialect's are mended in one object of a vendor's.
MAX_MENDED: Final = 16
_EXPECTED: Final = LatePattern(r"Expected ['`](.+)['`], got ['`]")
_NAME: Final = LatePattern(r"[^.\[\]]+")


def read_request(decoder: Decoder[T], body: bytes | Json, at: str = "") -> T:
    """Decode a client's JSON, which is not copied.

    :param at: where ``body`` stands in the whole request (``messages[3]``), for the message.
    :raises ampproxy.errors.ClientFault: it is not JSON, or a member has the wrong type; ``param`` and
        the message name it.
    """
    try:
        if not at and not (whole := bytes_of(body)).isascii():
            # What is not interpreted here would otherwise fail later, or reach a vendor as it is.
            whole.decode()
        return decoder.decode(body)
    except BAD_JSON as problem:
        if fixed := whole_surrogates(bytes_of(body)):
            return read_request(decoder, fixed, at)
        if isinstance(problem, ValidationError) and (loose := _loosely(decoder, body)) is not None:
            return loose
        path, why = explain(problem, at)
    return bad_request(path, why)


def read_answer(decoder: Decoder[T], body: bytes | Json, what: str = "answer") -> T:
    """Decode a vendor's JSON.

    :param what: names the thing in the message: ``answer``, ``event``.
    :raises ampproxy.errors.UpstreamFault: it is not what the dialect promises.
    """
    try:
        return decoder.decode(body)
    except BAD_JSON as problem:
        if fixed := sound(bytes_of(body)):
            return read_answer(decoder, fixed, what)
        if isinstance(problem, ValidationError) and (loose := _loosely(decoder, body, bent=True)) is not None:
            return loose
        path, why = explain(problem)
        where = f" at {path}" if path else ""
    raise bad_answer(f"The vendor's {what} could not be read{where}: {why}")


def _loosely(decoder: Decoder[T], body: bytes | Json, *, bent: bool = False) -> T | None:
    """The value where numbers and truth values may be written as texts; ``None``: that does not help.

    :param bent: whether members of other kinds may be mended, too.
    """
    kind: Any = decoder.type
    fixed: bytes | Json | None = body
    for _ in range(MAX_MENDED if bent else 1):
        try:
            found: T = _loose(kind).decode(fixed)  # type: ignore[arg-type]
        except BAD_JSON as problem:
            fixed = mended(bytes_of(fixed), *explain(problem)) if bent and fixed is not None else None
            if fixed is None:
                break
        else:
            return found
    return None


def mended(body: bytes, path: str, why: str) -> bytes | None:
    """A vendor's JSON without the member that is of another kind than its dialect's, if nothing is lost
    with it: an empty value, a truth value, or what is no number though it should be one. A number and
    parts with words in the place of a text are written as one, and an object alone is a list, or one
    in a list an object, where that belongs there. ``None``: there is nothing of that.

    :param path: the member, and ``why``: what is wrong with it, as :func:`explain` says.
    """
    expected = _EXPECTED.match(why)
    value: Any = loads(body)
    holder, names = value, _NAME.findall(path)
    try:
        for name in names[:-1]:
            holder = holder[int(name) if isinstance(holder, list) else name]
        found = holder[names[-1]]
    except (LookupError, TypeError, ValueError):
        return None
    kinds = expected[1].split(" | ") if expected else ["str"]
    if "str" in kinds and (words := _words(found)):
        holder[names[-1]] = words
    elif isinstance(found, dict) and names[-1] == "partial_json":
        # The object, and not its text.
        holder[names[-1]] = encode(found).decode()
    elif not found or found is True or not _KINDS.intersection(kinds):
        del holder[names[-1]]
    elif isinstance(found, dict) and "array" in kinds and "str" not in kinds:
        holder[names[-1]] = [found]
    elif isinstance(found, list) and "object" in kinds and len(found) == 1:
        holder[names[-1]] = found[0]
    else:
        return None
    return encode(value)


_KINDS: Final = frozenset(("str", "array", "object"))


def _words(found: Any) -> str:
    """A number as a text, or what parts say; empty: it is neither."""
    if isinstance(found, int | float):
        return "" if isinstance(found, bool) else str(found)
    return "".join(texts_in(found if isinstance(found, list) else [found]) or ())


def texts_in(parts: list[Any]) -> list[str] | None:
    """The texts of parts, each a text or an object with one; ``None``: there is anything else among them."""
    found = [part.get("text") if isinstance(part, dict) else part for part in parts]
    texts = [text for text in found if isinstance(text, str)]
    return texts if len(texts) == len(parts) else None


@lru_cache(maxsize=256)
def _loose(kind: Any) -> Decoder[Any]:
    return Decoder(kind, strict=False)


def read_or(decoder: Decoder[T], raw: bytes | Json, otherwise: U) -> T | U:
    """Decode JSON; ``otherwise`` where it is not of that kind: the caller reports it."""
    try:
        return decoder.decode(raw)
    except BAD_JSON:
        return otherwise


def bad_request(path: str, why: str) -> NoReturn:
    """Refuse a client's request.

    :param path: the member, as the client wrote it; empty for the whole body.
    :param why: what is wrong and what was expected.
    :raises ampproxy.errors.ClientFault: always.
    """
    message = f"{path}: {why}" if path else f"The request body is not valid: {why}"
    raise ClientFault.of("invalid_request", message, param=path or None)


def bad_answer(message: str) -> UnreadableAnswer:
    """The fault of a vendor whose answer is not one; to be raised."""
    return UnreadableAnswer(message)


def no_answer() -> UnreadableAnswer:
    """The fault of a stream that ended in order, and held nothing; to be raised."""
    return bad_answer("The vendor ended its stream without an answer.")


def explain(problem: BaseException, at: str = "") -> tuple[str, str]:
    """The member and the reason, of anything that reading JSON raises.

    ``Expected `str`, got `int` - at `$.messages[0].role``` gives ``messages[0].role`` and the rest.
    """
    if isinstance(problem, RecursionError):
        return at, "It is nested too deeply."
    why, _, path = str(problem).partition(" - at `$")
    path = path.rstrip("`").replace("[...]", "[]")
    path = at + path if at else path.removeprefix(".")
    return path, why.replace("`", "'")


def members(raw: bytes | Json, at: str = "") -> Members:
    """The members of a JSON object, uninterpreted.

    :raises ampproxy.errors.ClientFault: it is not an object.
    """
    if at:
        try:
            return MEMBERS.decode(raw)
        except BAD_JSON:
            pass
    return read_request(MEMBERS, raw, at)


def members_again(body: bytes) -> Members:
    """The members of a request that :func:`read_request` has found to be an object in UTF-8: it is not
    looked through for that a second time.
    """
    try:
        return MEMBERS.decode(body)
    except BAD_JSON:
        return members(body)


def items(raw: bytes | Json, at: str = "") -> list[Json]:
    """The items of a JSON array, uninterpreted.

    :raises ampproxy.errors.ClientFault: it is not an array.
    """
    return read_request(ITEMS, raw, at)


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> Decoder[Any]:
    """A decoder for a kind of values, and ``null``."""
    return Decoder(kind | None)


def is_string(value: Json) -> bool:
    """Whether the JSON text is a string."""
    return first(value) == b'"'


def first(value: Json) -> bytes:
    """The first character of JSON text: what kind of value it is. Nothing is copied."""
    view: Any = value
    return bytes(memoryview(view)[:1])


class Fields:
    """The members of an object, taken one by one.

    :param text: the object's JSON text.
    :param at: where the object stands in the request, for complaints: ``input[3]``.
    :param nulls: whether members that are ``null`` stay in :attr:`left`; taken they count as absent anyhow.
    :ivar left: the members that were not taken.
    :raises ampproxy.errors.ClientFault: it is not an object.
    """

    __slots__ = ("at", "left")

    def __init__(self, text: bytes | Json, at: str = "", *, nulls: bool = True) -> None:
        self.at = at
        found = members(text, at)
        self.left = found if nulls or NULL not in found.values() else without_nulls(found)

    def path(self, name: str) -> str:
        """Where the member stands in the request."""
        return f"{self.at}.{name}" if self.at else name

    def take(self, name: str, kind: type[T]) -> T | None:
        """Remove a member and give its value; ``None`` when it is absent or null.

        :raises ampproxy.errors.ClientFault: it is something else than ``kind``.
        """
        text = self.left.pop(name, None)
        if text is None:
            return None
        decoder: Decoder[T | None] = _decoder(kind)  # type: ignore[arg-type]
        try:
            return decoder.decode(text)
        except BAD_JSON:
            return read_request(decoder, text, self.path(name))

    def need(self, name: str, kind: type[T]) -> T:
        """Like :meth:`take`, for a member that must be there."""
        value = self.take(name, kind)
        if value is None:
            bad_request(self.path(name), "It is required.")
        return value

    def take_raw(self, name: str) -> Json | None:
        """Remove a member and give its text; ``None`` when it is absent or null."""
        text = self.left.pop(name, None)
        return None if text is None or text == NULL else text

    def need_raw(self, name: str) -> Json:
        """Like :meth:`take_raw`, for a member that must be there."""
        text = self.take_raw(name)
        if text is None:
            bad_request(self.path(name), "It is required.")
        return text

    def take_object(self: F, name: str) -> F | None:
        """Remove a member and give its members, without those that are null; ``None`` when it is absent or
        null.

        :raises ampproxy.errors.ClientFault: it is not an object.
        """
        text = self.take_raw(name)
        return None if text is None else type(self)(text, self.path(name), nulls=False)

    def need_object(self: F, name: str) -> F:
        """Like :meth:`take_object`, for a member that must be there."""
        return type(self)(self.need_raw(name), self.path(name), nulls=False)

    def remaining(self) -> dict[str, Json]:
        """What is left and not null."""
        return without_nulls(self.left)


def read(text: bytes | Json, kind: type[T], at: str) -> T | None:
    """The value of JSON text, ``None`` for null.

    :raises ampproxy.errors.ClientFault: it is something else than ``kind``.
    """
    wanted: Any = kind
    value: T | None = read_request(_decoder(wanted), text, at)
    return value


def put(body: dict[str, Any], values: Mapping[str, object]) -> None:
    """Add the members that are not ``None``."""
    for name, value in values.items():
        if value is not None:
            body[name] = value
