"""The configuration as the page shows it: no secret, whatever is in the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.dashboard.masked import MASK, masked, plain_settings
from tests.config.test_config_documented import uncommented
from tests.dashboard.owner import OwnersWorld, json_of

SECRET = "canary-5ecret"


@pytest.mark.parametrize(
    "text",
    [
        f"api-keys: [{SECRET}]",
        f"api-keys:\n  - {SECRET}\n  - 'x{SECRET}'",
        f"api-keys:\n- name: anna\n  key: {SECRET}",
        f"# an old key: {SECRET}\nport: 1 # {SECRET}",
        f"claude-api-key: [{{api-key: {SECRET}, headers: {{X-Key: {SECRET}}}}}]",
        f"proxy-url: http://user:{SECRET}@proxy",
        f"{SECRET}: 1",
        f"a-setting-of-tomorrow: {SECRET}",
        f"port: &{SECRET} 1",
        f"port: !{SECRET} 1",
        f"port: |\n  {SECRET}\n  {SECRET}",
        f'host: "a\\\n  {SECRET}"\napi-keys: ["{SECRET}',
        f"api-keys: [a\nport: ]}} {SECRET}\nhost: {SECRET}",
        f"? {SECRET}\n: {SECRET}",
        f"%TAG ! {SECRET}\n---\nport: 1",
        f"\t{SECRET}",
        SECRET,
        f"models:\n  api-key:\n    - {SECRET}",
        f"name:\n  key: {SECRET}\n",
    ],
)
def test_no_secret(text: str) -> None:
    assert SECRET not in "\n".join(masked(text))
    assert len(masked(text)) == len(text.splitlines())


@given(st.lists(st.sampled_from([SECRET, "key", ": ", " ", "\n", "- ", *"[]{}'#|,&!%", '"', "? "])))
def test_whatever_stands_there(pieces: list[str]) -> None:
    """No text makes it raise, show other lines than there are, or show the secret."""
    text = "".join(pieces)
    shown = masked(text)
    assert len(shown) == len(text.splitlines())
    assert SECRET not in "\n".join(shown)


def test_what_is_shown() -> None:
    """Structure and harmless values stay, at their lines."""
    shown = masked("host: 127.0.0.1\n\napi-keys:\n  - name: ci\n    key: x\n    models: [a-*, b]\n")
    assert shown == (
        "host: 127.0.0.1",
        "",
        "api-keys:",
        "  - name: ci",
        f"    key: {MASK}",
        "    models: [a-*, b]",
    )


def test_sample() -> None:
    """Of the sample with every setting, none of the values that are secrets."""
    text = uncommented()
    shown = "\n".join(masked(text))
    for secret in re.findall(r"(?m)key: (\S{6,})$", text):
        assert secret not in shown, secret
    assert not plain_settings() & {
        "api-key",
        "api-keys",
        "key",
        "key-hash",
        "headers",
        "proxy-url",
        "upstream-api-key",
    }


def test_configuration(tmp_path: Path) -> None:
    """The file as it is now, and what reading it found, by line."""
    from msgspec.structs import replace

    from ampproxy.status import ReloadReport, Status

    file = tmp_path / "config.yaml"
    file.write_text(f"prot: 1\napi-keys: [{SECRET}]\n")
    world = OwnersWorld()
    report = ReloadReport(
        False,
        1.0,
        4,
        complaints=(f"{file}:2: api-keys: is odd",),
        warnings=(f"{file}:1: prot: is not known",),
    )
    config = replace(world.generation.config, source=file)
    status = Status("ready", 4, 1.0, reload=report)
    world.generation.config = config
    world.generation.runtime = replace(world.generation.runtime, status=lambda: status)
    found = json_of(world.call("config"))
    assert found["remarks"] == [
        {"level": "error", "line": 2, "text": "api-keys: is odd"},
        {"level": "warning", "line": 1, "text": "prot: is not known"},
    ]
    assert (found["in_force"], found["lines"]) == (False, [f"{MASK}: {MASK}", f"api-keys: [{MASK}]"])
    page = world.open("page/config").body.decode()
    assert 'id="line-2"' in page
    assert SECRET not in page
