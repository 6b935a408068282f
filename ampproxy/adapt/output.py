"""Structured output, as far as the vendor and the model take it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ampproxy.adapt.names import ToolNameMap
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.schema_tree import with_description
from ampproxy.adapt.strict import is_strict
from ampproxy.adapt.target import Target
from ampproxy.model.base import Json
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest, OutputFormat
from ampproxy.wire.values import loads, to_raw

_NAMED: Final = ("properties", "$defs", "definitions")
_SUBSCHEMAS: Final = (*_NAMED, "items", "prefixItems", "anyOf", "allOf", "oneOf")
_DEEPEST: Final = 100


def fit_output(request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> ChatRequest:
    """A form of the answer that can be had, or none."""
    output = request.output
    if output is None:
        return request
    own = request.dialect == profile.dialect
    if output.schema is None and not profile.json_output:
        why = f"{profile.vendor} has no JSON output without a schema, and nothing is added to a prompt."
        losses("output_format", "output", why)
        return msgspec.structs.replace(request, output=None)
    if own:
        return request
    if request.tools and not profile.output_beside_tools and target.thinking != "level":
        losses("output_format", "output", "This model refuses a response format beside functions.")
        return msgspec.structs.replace(request, output=None)
    if output.schema is None:
        return request
    fitted = _fit_schema(output, output.schema, profile, losses)
    return msgspec.structs.replace(request, output=_fit_name(fitted, profile, losses))


def _fit_name(output: OutputFormat, profile: DialectProfile, losses: Losses) -> OutputFormat:
    if profile.schema_names:
        name = ToolNameMap(*profile.name)(output.name or profile.schema_names)
        return output if name == output.name else msgspec.structs.replace(output, name=name)
    if output.name:
        losses("schema_name", "output.name", f"{profile.vendor} has no names of schemas.")
    schema = None if output.schema is None else with_description(output.schema, output.description)
    return msgspec.structs.replace(output, name=None, description=None, schema=schema)


def _fit_schema(output: OutputFormat, schema: Json, profile: DialectProfile, losses: Losses) -> OutputFormat:
    if profile.output_schema == "closed":
        return _closed(output, schema, losses)
    if profile.output_schema == "strict":
        strict = is_strict(schema)
        if output.strict and not strict:
            why = "A strict schema must be closed and require all its members."
            losses("strict", "output", why)
        return msgspec.structs.replace(output, strict=output.strict is not False and strict)
    return output


def _closed(output: OutputFormat, schema: Json, losses: Losses) -> OutputFormat:
    """Every object closed, as the vendor demands of a schema that is enforced."""
    value = loads(schema)
    if not _close(value):
        return output
    losses("open_schema", "output.schema", "Objects that admit further members were closed.")
    return msgspec.structs.replace(output, schema=to_raw(value))


def _close(node: Any, depth: int = 0) -> bool:
    """Close the objects of a schema in place; whether one was open."""
    if isinstance(node, list):
        return sum(_close(item, depth + 1) for item in node) > 0
    if not isinstance(node, dict) or depth > _DEEPEST:
        return False
    is_open = node.get("type") == "object" or "properties" in node
    changed = is_open and node.get("additionalProperties") is not False
    if changed:
        node["additionalProperties"] = False
    for key, value in node.items():
        if key in _SUBSCHEMAS:
            inner = list(value.values()) if key in _NAMED and isinstance(value, dict) else value
            changed |= _close(inner, depth + 1)
    return changed
