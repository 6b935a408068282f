"""What two backends of logins put around their dialect: Codex's constraints, Code Assist's envelope."""

from __future__ import annotations

import msgspec

from ampproxy.errors import ClientFault, TruncatedStream, UpstreamFault
from ampproxy.model.base import Json
from ampproxy.model.loss import Loss
from ampproxy.wire.json import members
from ampproxy.wire.sse import BlockSplitter, EventTooLargeError, parse_block

_encode = msgspec.json.Encoder().encode


class _Finished(msgspec.Struct):
    type: str = ""
    response: Json = msgspec.Raw(b"")
    item: Json = msgspec.Raw(b"")
    message: str | None = None


class _Error(msgspec.Struct):
    message: str | None = None


class _Failed(msgspec.Struct):
    error: _Error | None = None


class _Output(msgspec.Struct):
    output: list[Json] | None = None


_finished = msgspec.json.Decoder(_Finished)
_failed = msgspec.json.Decoder(_Failed)
_output = msgspec.json.Decoder(_Output)
_ENDS = ("response.completed", "response.incomplete", "response.done")


def _is_whole(rest: bytes) -> bool:
    """Whether an event's data is whole, so that it only lacks its blank line."""
    return members(parse_block(rest.strip(b"\n"))[1]) is not None


class CodexEnvelope:
    """A Responses body for the backend of Codex logins, which answers with a stream and nothing else.

    :raises ampproxy.errors.ClientFault: the body is no JSON object.
    """

    content_type: bytes | None = None

    def __init__(self, body: bytes) -> None:
        # Not at the start of the process: dialects are loaded when they are needed.
        from ampproxy.dialects.openai_responses.codex import constrain

        self.body, self.losses = constrain(body)

    def feed(self, data: bytes) -> bytes:
        """The stream, which is the dialect's own."""
        return data

    def end(self) -> bytes:
        """Nothing is left."""
        return b""

    def whole(self, body: bytes) -> bytes:
        """The answer that the stream's last event holds; its output gathered, if that is left out there.

        :raises ampproxy.errors.UpstreamFault: the stream tells a failure, or has no end.
        """
        if body.lstrip()[:1] == b"{":
            return body
        items: list[Json] = []
        splitter = BlockSplitter()
        for block in splitter.feed(body + b"\n\n"):
            data = parse_block(block)[1]
            try:
                event = _finished.decode(data)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            if event.type == "response.output_item.done" and event.item:
                items.append(event.item)
            elif event.type in _ENDS and event.response:
                return _filled(event.response, items)
            elif event.type in ("response.failed", "error"):
                raise UpstreamFault.of("unavailable", _failure_message(event), retryable=True)
        raise TruncatedStream()


def _filled(response: Json, items: list[Json]) -> bytes:
    try:
        complete = bool(_output.decode(response).output) or not items
    except msgspec.MsgspecError:
        complete = True
    if complete:
        return bytes(response)
    found = members(response) or {}
    return _encode({**found, "output": items})


def _failure_message(event: _Finished) -> str:
    try:
        error = _failed.decode(event.response).error if event.response else None
    except msgspec.MsgspecError:
        error = None
    return event.message or (error.message if error is not None else None) or "The model failed."


class _Enveloped(msgspec.Struct):
    response: Json | msgspec.UnsetType = msgspec.UNSET


_enveloped = msgspec.json.Decoder(_Enveloped)


class CodeAssistEnvelope:
    """A Gemini body in Code Assist's envelope.

    :param project: who pays; empty: the vendor decides.
    :param counts: the call counts tokens.
    :param listed: the client wants a streamed answer as a JSON list instead of events.
    :raises ampproxy.errors.ClientFault: the body is no JSON object.
    """

    def __init__(
        self, body: bytes, model: str, project: str, *, counts: bool = False, listed: bool = False
    ) -> None:
        found = members(body)
        if found is None:
            raise ClientFault.of("invalid_request", "The request's body is not a JSON object.")
        self.losses: tuple[Loss, ...] = ()
        self.content_type: bytes | None = b"application/json" if listed else None
        self._listed = listed
        self._begun = False
        self._splitter = BlockSplitter()
        self.body = _counting(found, model) if counts else _generating(found, model, project)

    def feed(self, data: bytes) -> bytes:
        """The events without their envelopes."""
        try:
            blocks = self._splitter.feed(data)
        except EventTooLargeError as error:
            raise UpstreamFault.of("unavailable", f"The model's answer cannot be read: {error}") from None
        return b"".join([self._event(block) for block in blocks])

    def end(self) -> bytes:
        """The end of the list."""
        rest = self._splitter.rest
        last = self._event(rest.strip(b"\n")) if rest.strip() else b""
        if not self._listed:
            return last
        return last + (b"]" if self._begun else b"[]")

    def whole(self, body: bytes) -> bytes:
        """The answer without its envelope."""
        return _opened(body)

    def _event(self, block: bytes) -> bytes:
        data = parse_block(block)[1]
        if not data:
            return b""
        inner = _opened(data)
        if not self._listed:
            return b"data: " + inner + b"\n\n"
        before, self._begun = (b",\r\n" if self._begun else b"["), True
        return before + inner


def _generating(found: dict[str, Json], model: str, project: str) -> bytes:
    request = {name: value for name, value in found.items() if name not in ("model", "stream")}
    paid = {"project": project} if project else {}
    return _encode({**paid, "model": model, "request": request})


def _counting(found: dict[str, Json], model: str) -> bytes:
    """This call knows contents alone; what the Gemini API takes beside them is left out."""
    inner = members(found["generateContentRequest"]) if "generateContentRequest" in found else None
    contents = (inner or found).get("contents", msgspec.Raw(b"[]"))
    return _encode({"request": {"model": f"models/{model}", "contents": contents}})


def _opened(data: bytes) -> bytes:
    """What is in the envelope; anything else, an error for one, as it is."""
    try:
        response = _enveloped.decode(data).response
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return data
    return data if isinstance(response, msgspec.UnsetType) else bytes(response)
