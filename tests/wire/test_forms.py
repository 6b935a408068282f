"""Forms: the model that they name is found in all ways in which clients write it, and in bounded time."""

from __future__ import annotations

import pytest

from ampproxy.wire.forms import boundary_of, model_in
from tests.clocked import assert_grows

FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\nA: b\r\n\r\n\x00\r\n'
MODEL = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--B'


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (b"multipart/form-data; boundary=B", b"--B"),
        (b'Multipart/Form-Data;charset=x; Boundary="B; 1"', b"--B; 1"),
        (b"multipart/form-data", None),
        (b"multipart/mixed; boundary=B", None),
        (b"application/json", None),
        (b"", None),
    ],
)
def test_boundary(kind: bytes, found: bytes | None) -> None:
    assert boundary_of(kind) == found


@pytest.mark.parametrize("before", [b"", b"preamble\r\n", FILE, FILE * 3, b"--B\r\n\r\n", b"--B--B\r\n"])
@pytest.mark.parametrize(
    "part",
    [
        MODEL,
        MODEL.replace(b'"', b""),
        MODEL.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n"),
        MODEL.replace(b"--B\r\nC", b"--B\r\nA: b\r\nc"),
        MODEL.replace(b"form-data; ", b"form-data;"),
        MODEL.replace(b'"model"', b'"model" ; x=y'),
    ],
)
def test_a_model(before: bytes, part: bytes) -> None:
    """In quotes or without, with other lines around, behind other parts."""
    form = before + part
    found = model_in(form, b"--B")
    assert found is not None
    assert form[slice(*found)] == b"whisper-1"


@pytest.mark.parametrize(
    "form",
    [
        b"",
        FILE,
        MODEL[:-1],
        MODEL.replace(b"whisper-1", b""),
        MODEL.replace(b"whisper-1", b"x" * 257),
        MODEL.replace(b"whisper-1", b"a\nb"),
        MODEL.replace(b"model", b"models"),
        MODEL.replace(b'name="model"', b'filename="model"'),
        MODEL.replace(b"\r\n\r\n", b"\r\n" + b"A: b\r\n" * 20 + b"\r\n"),
        MODEL.replace(b"form-data", b"x" * 2000),
        MODEL.replace(b"\r\n\r\n", b"\r\n"),
        MODEL.replace(b"\r\n\r\nwhisper-1", b"") + b"\r\nA: b\r\n\r\nvalue\r\n--B",
        MODEL.replace(b"\r\n", b"\n"),
    ],
)
def test_no_model(form: bytes) -> None:
    assert model_in(form, b"--B") is None


@pytest.mark.parametrize(
    ("before", "unit", "behind"),
    [
        (b"--B\r\nContent-Disposition: form-data", b"; name=model", b"\r\nx"),
        (b"--B\r\nContent-Disposition: form-data", b"; name=model ;", b"\r\nx"),
        (b"--B\r\nContent-Disposition: x; name=model", b" ", b"x"),
        (b"", b"--B\r\n", b""),
        (b"", b"--B\r\nContent-Disposition: x; name=model\r\n", b""),
        (b"", b"--B\r\nContent-Disposition: x; name=model\r\n\r\n" + b"v" * 300, b""),
        (b"--B\r\n", b"Content-Disposition: x; name=model\r\n", b""),
        (b"", b"--B\r\n" + b"A: b\r\n" * 15, b""),
    ],
)
def test_time_grows_with_the_size(before: bytes, unit: bytes, behind: bytes) -> None:
    """And not with its square."""

    def find(form: bytes) -> None:
        assert model_in(form, b"--B") is None

    assert_grows(find, lambda size: before + unit * (size // len(unit)) + behind, 8_000, 64_000, 20)
