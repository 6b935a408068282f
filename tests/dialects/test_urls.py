"""A picture or a file is the same bytes in each of OpenAI's dialects, however its URL is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.parts import Document, Image, Inline, Link, Source

PNG = Inline("image/png", "aGk=")


def in_chat(part: dict[str, Any]) -> Any:
    kind, value = part["kind"], part["value"]
    member = {"image_url": {"url": value}} if kind == "image_url" else {"file": {"file_data": value}}
    return message({"type": kind, **member}, "openai-chat", "messages")


def in_responses(part: dict[str, Any]) -> Any:
    kind, value = part["kind"], part["value"]
    kind, member = ("input_image", "image_url") if kind == "image_url" else ("input_file", "file_data")
    return message({"type": kind, member: value}, "openai-responses", "input")


def message(part: dict[str, Any], dialect: str, member: str) -> Any:
    body = {"model": "m", member: [{"role": "user", "content": [part]}]}
    (turn,) = DIALECTS[dialect].parse_request(json.dumps(body).encode()).turns
    (found,) = turn.parts
    return found


READERS = pytest.mark.parametrize("read", [in_chat, in_responses])


@READERS
@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("data:image/png;base64,aGk=", PNG),
        ("DATA:image/png;base64,aGk=", PNG),
        ("data:image/png;BASE64,aGk=", PNG),
        ("data:image/png; base64,aGk=", PNG),
        ("data:image/png;base64;x=1,aGk=", PNG),
        ("data:image/png;name=a.png;base64,aGk=", PNG),
        ("data:;base64,aGk=", Inline("application/octet-stream", "aGk=")),
        ("data:text/plain,hi", Link("data:text/plain,hi")),
        ("data:image/png;base64", Link("data:image/png;base64")),
        ("https://a.test/data:,x;base64,", Link("https://a.test/data:,x;base64,")),
    ],
)
def test_picture(read: Any, url: str, source: Source) -> None:
    """Base64 in a ``data:`` URL is bytes; any other URL is a link."""
    found = read({"kind": "image_url", "value": url})
    assert isinstance(found, Image)
    assert found.source == source


@READERS
@pytest.mark.parametrize(
    ("data", "source"),
    [
        ("JVBERg==", Inline("application/pdf", "JVBERg==")),
        ("DATA:application/pdf;base64,JVBERg==", Inline("application/pdf", "JVBERg==")),
        ("data:text/plain;charset=utf-8;base64,aGk=", Inline("text/plain", "aGk=")),
        ("data:text/plain,hi", Link("data:text/plain,hi")),
        ("https://a.test/x.pdf", Link("https://a.test/x.pdf")),
    ],
)
def test_file(read: Any, data: str, source: Source) -> None:
    """A file's data is bare base64, or a URL."""
    found = read({"kind": "file", "value": data})
    assert isinstance(found, Document)
    assert found.source == source
