"""What a request may cost at most, in tokens, told from its body alone; or why nobody can tell.

A limit is only as good as this bound. So what a request costs by something that is not in it (a conversation
that the vendor keeps, a file, an address, a search that the vendor makes) has none, nor has what is in it but
costs by what it shows: the pages of a document, the seconds of a film.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from ampproxy.adapt.target import target_for
from ampproxy.credits.allowance import Unbounded
from ampproxy.wire.json import BAD_JSON, members, string

#: Tokens: more than the longest answer of any model that is known (gpt-5-pro: 272,000), for the others.
LONGEST_ANSWER = 300_000
#: The most that a vendor makes of one picture (gpt-4o-mini: 2,833, and 5,667 for each of 8 tiles).
PER_IMAGE = 50_000
#: What a vendor adds of its own to a request: how its tools are to be used, who the model is.
ADDED = 1_000
#: Letters and blanks come at least two to a token; of digits, marks and bytes of other scripts a tokenizer
#: may make one each.
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ "
_DEEPEST = 12

#: Members that bring more into a request than is in it.
_ELSEWHERE = {
    "previous_response_id": "earlier answers, which the vendor stores",
    "conversation": "a conversation, which the vendor stores",
    "cachedContent": "a cache, which the vendor stores",
    "cached_content": "a cache, which the vendor stores",
    "container": "a container, which the vendor stores",
    "requests": "several requests at once",
    "batch": "several requests at once",
    "mcp_servers": "servers that the vendor calls",
    "web_search_options": "a search that the vendor makes",
}
#: The parts of a message that stand for something else.
_BY_REFERENCE = (
    "file_id",
    "file_url",
    "file_uri",
    "fileData",
    "file_data",
    "file",
    "video_url",
    "input_audio",
)
_POINTERS = frozenset(("item_reference", "container_upload", "document_url"))
#: Where messages and their parts are.
_OUTER = ("messages", "input", "contents", "system", "systemInstruction", "system_instruction")
_INNER = ("content", "parts", "output", "functionResponse", "function_response")
#: Tools that the client runs, by the beginning of their type; all others run at the vendor.
_CLIENTS_TOOLS = (
    "function",
    "custom",
    "bash",
    "text_editor",
    "computer",
    "memory",
    "local_shell",
    "apply_patch",
)
_DECLARATIONS = frozenset(("functionDeclarations", "function_declarations"))

_BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_ANSWERS = ("n", "best_of", "candidateCount", "candidate_count")
_items = msgspec.json.Decoder(list[msgspec.Raw])
_number = msgspec.json.Decoder(float)
_EMPTY = (b"null", b"[]", b"{}", b'""', b"false")


def longest_answer(dialect: str, model: str) -> int:
    """How many tokens an answer of a model may have, if nothing bounds it.

    :param dialect: in which it is asked.
    """
    return target_for(dialect, model).max_output or LONGEST_ANSWER


def most_tokens(body: bytes, longest: int) -> int:
    """What a request may cost at most, in and out.

    :param body: in any dialect, each of its members once (:func:`ampproxy.wire.json.sole_members`).
    :param longest: the tokens of an answer that the request does not bound; 0 where there is none.
    :raises Unbounded: that cannot be told.
    """
    values = members(body)
    if values is None:
        raise Unbounded("it is not a JSON object")
    for name, what in _ELSEWHERE.items():
        if bytes(values.get(name, b"null")) not in _EMPTY:
            raise Unbounded(f"it has {what} ({name})")
    _check_tools(values.get("tools"))
    pictures = _Pictures()
    for name in _OUTER:
        if name in values:
            pictures.look(values[name], 0)
    text = _most_of_text(body) - sum(map(_most_of_text, pictures.found))
    return ADDED + text + PER_IMAGE * len(pictures.found) + _most_output(values, longest)


def _most_of_text(text: bytes | msgspec.Raw) -> int:
    raw = bytes(text)
    others = len(raw.translate(None, _LETTERS))
    return others + (len(raw) - others + 1) // 2


def _most_output(values: Mapping[str, msgspec.Raw], longest: int) -> int:
    configs = [values, *filter(None, map(members, _of(values, ("generationConfig", "generation_config"))))]
    bounds = [number for config in configs for number in _numbers(config, _BOUNDS)]
    answers = [number for config in configs for number in _numbers(config, _ANSWERS)]
    if None in answers:
        raise Unbounded("its number of answers is not a number")
    # What a server may read as no bound, a text for one, is none.
    known = [number for number in bounds if number is not None]
    each = max(known) if known and None not in bounds else longest
    wanted = max((number for number in answers if number is not None), default=1) * _prompts(values)
    return (each if longest else 0) * wanted


def _prompts(values: Mapping[str, msgspec.Raw]) -> int:
    """How many prompts an old completion has, each of which gets answers of its own."""
    raw = bytes(values.get("prompt", b"null"))
    if raw.startswith(b"{"):
        raise Unbounded("it has a prompt that the vendor stores (prompt)")
    found = _items.decode(raw) if raw.startswith(b"[") else []
    return sum(bytes(one)[:1] in (b'"', b"[") for one in found) or 1


def _numbers(config: Mapping[str, msgspec.Raw], names: Iterable[str]) -> list[int | None]:
    """The numbers of these names; ``None`` for one that is there and is no positive number."""
    return [_positive(raw) for raw in _of(config, names) if bytes(raw) != b"null"]


def _positive(raw: msgspec.Raw) -> int | None:
    # JSON does not tell 8192.0 from 8192, so vendors take both. No answer has more than a thousand million.
    try:
        number = _number.decode(raw)
    except BAD_JSON:
        return None
    return math.ceil(min(number, 1e9)) if number > 0 else None


def _of(values: Mapping[str, msgspec.Raw], names: Iterable[str]) -> list[msgspec.Raw]:
    return [values[name] for name in names if name in values]


def _check_tools(raw: msgspec.Raw | None) -> None:
    """Refuse tools that the vendor runs: what these find is read at the owner's cost."""
    if raw is None or bytes(raw) in _EMPTY:
        return
    try:
        tools = _items.decode(raw)
    except BAD_JSON:
        raise Unbounded("its tools are not a list") from None
    for tool in map(members, tools):
        kind = None if tool is None else string(tool.get("type", msgspec.Raw(b'""')))
        if tool is None or kind is None:
            raise Unbounded("one of its tools has no readable type")
        ours = kind.startswith(_CLIENTS_TOOLS) if kind else "name" in tool or tool.keys() <= _DECLARATIONS
        if not ours:
            raise Unbounded(f"it has a tool that the vendor runs ({kind or ', '.join(sorted(tool))})")


class _Pictures:
    """Finds the pictures in messages.

    :ivar found: the JSON of each.
    """

    def __init__(self) -> None:
        self.found: list[msgspec.Raw] = []

    def look(self, raw: msgspec.Raw, depth: int) -> None:
        """Look through a value.

        :raises Unbounded: something in it costs by what is not in it, or by what it shows.
        """
        if depth > _DEEPEST:
            raise Unbounded("its messages are nested too deeply")
        first = bytes(memoryview(raw)[:1])
        if first == b"[":
            for item in _items.decode(raw):
                self.look(item, depth + 1)
        elif first == b"{":
            part = members(raw)
            if part is not None:
                self._part(part, depth)

    def _part(self, part: Mapping[str, msgspec.Raw], depth: int) -> None:
        kind = string(part.get("type", msgspec.Raw(b'""'))) or ""
        pointers = [name for name in _BY_REFERENCE if bytes(part.get(name, b"null")) not in _EMPTY]
        if pointers or kind in _POINTERS:
            raise Unbounded(f"it has a file or a recording ({pointers[0] if pointers else kind})")
        if "source" in part:
            self._source(part["source"], kind, depth)
        if bytes(part.get("image_url", b"null")) not in _EMPTY:
            self._link(part["image_url"])
        for raw in _of(part, ("inlineData", "inline_data")):
            self._inline(raw)
        for raw in _of(part, _INNER):
            self.look(raw, depth + 1)

    def _source(self, raw: msgspec.Raw, kind: str, depth: int) -> None:
        source = members(raw)
        if source is None:
            return
        form = string(source.get("type", msgspec.Raw(b'""')))
        if form == "base64" and kind == "image":
            self.found.append(source.get("data", raw))
        elif form in ("text", "content"):
            self.look(source.get("content", msgspec.Raw(b"null")), depth + 1)
        else:
            raise Unbounded(f"it has a file ({kind or 'source'} by {form})")

    def _link(self, raw: msgspec.Raw) -> None:
        link = members(raw)
        address = raw if link is None else link.get("url", raw)
        if not bytes(memoryview(address)[:12]).lower().startswith(b'"data:image/'):
            raise Unbounded("it has a picture by URL (image_url)")
        self.found.append(address)

    def _inline(self, raw: msgspec.Raw) -> None:
        data = members(raw) or {}
        kinds = [string(kind) or "" for kind in _of(data, ("mimeType", "mime_type"))]
        if not kinds or not all(kind.lower().startswith("image/") for kind in kinds):
            raise Unbounded(f"it has a file ({', '.join(kinds) or 'inlineData'})")
        self.found.append(data.get("data", raw))
