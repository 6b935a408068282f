"""The models that a request names on a path that nobody here knows: all that any server could find there.

Such a request goes to the Amp upstream as it is, so what it says is not ours to interpret. What is found here
is only ever used against it: the strictest rule of all these names counts, and where a name may be hidden,
the strictest rule that there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from urllib.parse import unquote

import msgspec

from ampproxy.catalog.kinds import KINDS
from ampproxy.model.base import Value
from ampproxy.routing.paths import misleading, without_vendor
from ampproxy.wire.json import BAD_JSON, members
from ampproxy.wire.wildcard import matches_wildcard

#: More names than any batch has that people write; beyond that nobody need look.
_MAX_NAMES = 256
#: A body past this is not looked through: bytes.
_MAX_BODY_BYTES = 8 * 1024 * 1024
#: The segments behind which a model stands: Google's, Bedrock's, OpenAI's old ones.
_BEFORE_MODELS = frozenset(("models", "model", "engines"))
#: Behind which something stands that somebody has named, and that has a model: Azure's, Vertex's.
_BEFORE_NAMES = frozenset(("deployments", "endpoints", "tunedmodels", "inference-profiles"))
_PATTERNS = frozenset(chain.from_iterable(kind.patterns for kind in KINDS.values()))
_KEY = re.compile(rb'(?i)(?<!\\)"(?:model(?:_?(?:id|name))?|engine|deployment)"\s*:\s*')
_TEXT = re.compile(rb'"((?:[^"\\]|\\.){0,512})"', re.DOTALL)
#: A letter that is written as an escape, as no encoder does: a key may be hidden by it.
_ESCAPED_LETTER = re.compile(rb"(?<!\\)\\u00[4-7][0-9A-Fa-f]")
_string = msgspec.json.Decoder(str)


class NamedModels(Value, frozen=True):
    """What a request names.

    :param models: in order, each once; the first is the one to be shown.
    :param sure: whether it asks for no other model than these.
    """

    models: tuple[str, ...]
    sure: bool


def named_models(path: bytes, body: bytes) -> NamedModels:
    """The models that a request names, in its path and anywhere in its body.

    :param path: in its canonical form.
    """
    found = dict.fromkeys(islice(_in_path(path), _MAX_NAMES))
    named = any(_of_a_family(model) for model in found)
    segments = _segments(path)
    hidden = bool(_BEFORE_NAMES.intersection(segments)) and not named
    values = members(body) if len(body) <= _MAX_BODY_BYTES and len(found) < _MAX_NAMES else None
    if values is None or _ESCAPED_LETTER.search(body):
        return NamedModels(tuple(found), sure=False)
    try:
        found |= dict.fromkeys(_in_body(body))
    except ValueError:
        return NamedModels(tuple(found), sure=False)
    # What a batch asks for may be in a file, whatever stands beside the file's name.
    hidden |= any("batch" in segment for segment in segments) and "requests" not in values
    return NamedModels(tuple(found), sure=bool(found) and not hidden and not any(map(misleading, found)))


def _segments(path: bytes) -> list[str]:
    """What is behind the alias of the provider, lower case."""
    return unquote(path.decode("ascii", "replace")).lower().split("/")[4:]


def _in_path(path: bytes) -> Iterator[str]:
    before = ""
    for segment in _segments(path):
        if before in _BEFORE_MODELS or before in _BEFORE_NAMES or _of_a_family(segment):
            yield segment
            if ":" in segment:
                yield segment.rpartition(":")[0]
        before = segment


def _of_a_family(name: str) -> bool:
    bare = without_vendor(name)
    return any(matches_wildcard(pattern, bare) for pattern in _PATTERNS)


def _in_body(body: bytes) -> Iterable[str]:
    """Every text that stands as a model anywhere in JSON.

    :raises ValueError: there are too many, or one cannot be read.
    """
    found: dict[str, None] = {}
    for key in _KEY.finditer(body):
        if body[key.end() : key.end() + 1] != b'"':
            continue
        text = _TEXT.match(body, key.end())
        if text is None or len(found) >= _MAX_NAMES:
            raise ValueError("names that cannot be read")
        try:
            found[_string.decode(text[0])] = None
        except BAD_JSON:
            raise ValueError("a name that is not text") from None
    return found
