"""What to write into the configuration so that a model is served."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence

from ampproxy.catalog.kinds import KEYED, Kind
from ampproxy.wire.wildcard import matches_wildcard

#: The least likeness, by difflib's measure, that makes a model worth naming instead of another.
_LIKENESS = 0.6
#: So many models are named instead of one that nobody serves.
_NAMED = 3
#: Comparing costs time for each pair; a name that nobody serves may come from anybody.
_MAX_COMPARED = 300
_MAX_COMPARED_CHARS = 100

#: A role that most models cannot serve, and what the names of those say that can.
_DRAWING, _DRAWS = "painter", "image"

_COMPATIBLE = (
    'openai-compatibility:\n  - name: "NAME"\n    base-url: "http://127.0.0.1:11434/v1"\n'
    '    api-key-entries:\n      - api-key: "YOUR-KEY"\n    models:\n      - name: {model}\n'
)


def config_for(base: str, served: Sequence[str], *, mappable: bool, roles: Sequence[str] = ()) -> str:
    """YAML that would serve ``base``: a mapping to the served model that is most like it, if one is, and
    else an account.

    :param mappable: whether mappings apply to where the request came in.
    :param roles: what Amp uses it for; a mapping by role outlives the model's name.
    """
    if _DRAWING in roles:
        served = [model for model in served if _DRAWS in model.lower()]
    target = _most_like(base, served, 1, _LIKENESS) if mappable else []
    if not target:
        return account_for(base)
    wanted = f"[{', '.join(roles)}]" if len(roles) > 1 else "".join(roles)
    source = f"role: {wanted}  # or from: {_quoted(base)}" if roles else f"from: {_quoted(base)}"
    return f"ampcode:\n  model-mappings:\n    - {source}\n      to: {_quoted(target[0])}\n"


def nearest(base: str, served: Sequence[str]) -> tuple[str, ...]:
    """The served models that are most like ``base``, the most alike first, whether or not they are much."""
    return tuple(_most_like(base, served, _NAMED, 0.0))


def account_for(base: str) -> str:
    """YAML of an account that would serve ``base``, by the vendor that such a name is of."""
    for kind in KEYED:
        if any(matches_wildcard(pattern, base) for pattern in kind.patterns):
            return _keyed(kind, base)
    return _COMPATIBLE.format(model=_quoted(base))


def _keyed(kind: Kind, model: str) -> str:
    address = f"    base-url: {_quoted(kind.base_url)}\n" if kind.named_base else ""
    return f'{kind.section}:\n  - api-key: "YOUR-KEY"\n{address}    models:\n      - name: {_quoted(model)}\n'


def _most_like(base: str, served: Sequence[str], count: int, likeness: float) -> list[str]:
    if len(base) > _MAX_COMPARED_CHARS:
        return []
    by_lower = {id_.lower(): id_ for id_ in served[:_MAX_COMPARED]}
    found = difflib.get_close_matches(base.lower(), by_lower, count, likeness)
    return [by_lower[name] for name in found]


def _quoted(text: str) -> str:
    """A YAML scalar: every JSON string is one."""
    return json.dumps(text)
