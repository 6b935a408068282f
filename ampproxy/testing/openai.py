"""What OpenAI's two APIs share: the credential, the words of refusal, dated model names, rules for tools."""

from __future__ import annotations

import re
from typing import Any

from ampproxy.testing import schema as s
from ampproxy.testing.vendor import Recorded, Reply, Vendor, VendorError, dump, only_credential

_CODES = {"unknown": "unknown_parameter", "missing": "missing_required_parameter", "type": "invalid_type"}
_STATUS_WORDS: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", None),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", "server_error"),
    503: ("server_error", None),
}
#: Models that think, and refuse sampling parameters.
REASONING_MODEL = re.compile(r"(?:o\d|gpt-[5-9])")
#: What ``reasoning_effort`` and ``reasoning.effort`` may be.
EFFORT = s.nullable(s.choice("none", "minimal", "low", "medium", "high", "xhigh", "max"))
#: A tool's name, and the name of a schema.
NAME = s.matching(r"[a-zA-Z0-9_-]{1,64}")
METADATA = s.nullable(s.values(s.text_of(512)))


def refuse(message: str, param: str | None = None, code: str | None = None) -> None:
    """Refuse a request as OpenAI does."""
    raise VendorError(400, message, param=param, code=code)


def dated(model: str) -> str:
    """The snapshot that OpenAI names in its answer."""
    plain = model.partition("+")[0]
    if re.search(r"-\d{4}-\d\d-\d\d$", plain) or not re.match(r"gpt-|o\d", plain):
        return plain
    return f"{plain}-2026-03-05"


def check_schema(where: str, parameters: Any, strict: bool) -> None:
    """A function's parameters are an object; under ``strict`` a closed one, all of it required."""
    if parameters is None:
        return
    kind = parameters.get("type")
    if kind != "object":
        got = "None" if kind is None else kind
        refuse(
            f"Invalid schema for {where}: schema must be a JSON Schema of 'type: \"object\"', got 'type: "
            f'"{got}"\'.',
            code="invalid_function_parameters",
        )
    if not strict:
        return
    if parameters.get("additionalProperties") is not False:
        words = "'additionalProperties' is required to be supplied and to be false."
        refuse(f"Invalid schema for {where}: In context=(), {words}", code="invalid_function_parameters")
    missing = set(parameters.get("properties", {})) - set(parameters.get("required", []))
    if missing:
        words = "'required' is required to be supplied and to be an array including every key in properties."
        name = sorted(missing)[0]
        refuse(f"Invalid schema for {where}: In context=(), {words} Missing '{name}'.")


def check_choice(body: dict[str, Any]) -> None:
    """What is said about tools needs tools."""
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in body and not body.get("tools"):
            refuse(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name)


#: Which efforts models take, the first that fits: https://developers.openai.com/api/docs/guides/reasoning.
_EFFORTS = (
    (re.compile(r"o\d|gpt-5(\.1)?-codex(?!-max)"), "low medium high"),
    (re.compile(r"gpt-5-chat|gpt-5\.\d+-chat"), "medium"),
    (re.compile(r"gpt-5-pro"), "high"),
    (re.compile(r"gpt-5\.\d+-pro"), "medium high xhigh"),
    (re.compile(r"gpt-5[.\d]*-codex"), "low medium high xhigh"),
    (re.compile(r"gpt-5\.1"), "none low medium high"),
    (re.compile(r"gpt-5\.[2-5]"), "none low medium high xhigh"),
    (re.compile(r"gpt-5\.6|gpt-6-(sol|luna)|gpt-6\.1-terra"), "none low medium high xhigh max"),
    (re.compile(r"gpt-5"), "minimal low medium high"),
    (re.compile(r""), "low medium high xhigh max"),
)


def _efforts(model: str) -> list[str]:
    return next(levels for pattern, levels in _EFFORTS if pattern.match(model)).split()


def check_sampling(body: dict[str, Any], effort: str | None) -> None:
    """A model that thinks takes no sampling parameters; one that does not takes no effort."""
    model = body["model"]
    if not REASONING_MODEL.match(model):
        if effort is not None and model.startswith(("gpt-4", "gpt-3")):
            refuse("Unsupported parameter: 'reasoning effort' is not supported with this model.")
        return
    if effort is not None and effort not in _efforts(model):
        refuse(
            f"Unsupported value: 'reasoning.effort' does not support '{effort}' with this model.",
            "reasoning.effort",
            "unsupported_value",
        )
    if effort == "none":
        return
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            refuse(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                name,
                "unsupported_parameter",
            )


class OpenAI(Vendor):
    """OpenAI's credential and errors."""

    def authenticate(self, request: Recorded) -> str:
        """A bearer token and nothing beside it."""
        key = request.bearer()
        if key is None:
            words = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header"
            )
            raise VendorError(401, f"{words} using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).")
        stranger = only_credential(request, "authorization")
        if stranger is not None:
            raise VendorError(401, f"Unexpected credential in {stranger}.")
        if key not in self.keys:
            raise VendorError(401, f"Incorrect API key provided: {key[:3]}***.", code="invalid_api_key")
        return key

    def refusal(self, error: VendorError) -> Reply:
        """``{"error": {message, type, param, code}}``."""
        fallback = ("server_error", None) if error.status >= 500 else ("invalid_request_error", None)
        kind, code = _STATUS_WORDS.get(error.status, fallback)
        said = {
            "message": error.message,
            "type": error.kind or kind,
            "param": error.param,
            "code": error.code or code,
        }
        headers = [("x-request-id", self.new_id("req_"))]
        if error.retry_after is not None:
            headers.append(("retry-after", f"{error.retry_after:g}"))
            headers.append(("retry-after-ms", f"{error.retry_after * 1000:.0f}"))
        return Reply(status=error.status, body=dump({"error": said}), headers=tuple(headers))

    def mismatch(self, problem: s.Mismatch) -> VendorError:
        """Unknown, missing, of another type, of a wrong value: each has its sentence and its code."""
        param = s.bracketed(problem.path)
        code = _CODES.get(problem.kind, "invalid_value")
        if problem.kind == "unknown":
            message = f"Unknown parameter: '{param}'."
        elif problem.kind == "missing":
            message = f"Missing required parameter: '{param}'."
        elif problem.kind == "type":
            message = f"Invalid type for '{param}': {problem.message.replace('Input should be', 'expected')}."
        elif problem.message.startswith("Input should be greater"):
            least = problem.message.rpartition(" ")[2]
            message = f"Invalid '{param}': integer below minimum value. Expected a value >= {least}."
            code = "integer_below_min_value"
        elif problem.message.startswith("Invalid value"):
            message = problem.message
        else:
            message = f"Invalid '{param}': {problem.message}."
            code = "string_above_max_length" if "too long" in problem.message else code
        return VendorError(400, message, param=param, code=code)


def model_entry(name: str) -> dict[str, Any]:
    """A row of a model list."""
    return {"id": name, "object": "model", "created": 1_772_000_000, "owned_by": "system"}
