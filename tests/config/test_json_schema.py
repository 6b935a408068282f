"""The schema that editors go by: what the gateway takes is right by it, what it refuses is mostly wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from ampproxy.cli import main
from ampproxy.config.json_schema import UnknownKind, of, schema
from ampproxy.config.parsing import Reader, walk
from ampproxy.config.sections import ROOT
from tests.config.test_config_documented import SAMPLE, uncommented
from tests.test_docs_code import BLOCKS

SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)


class Loader(yaml.SafeLoader):
    """As editors read YAML 1.2: a date is text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def wrong(text: str) -> list[str]:
    """Where the schema finds fault: the paths, dotted."""
    found = VALIDATOR.iter_errors(yaml.load(text, Loader) or {})
    return sorted({".".join(map(str, error.absolute_path)) for error in found})


def test_it_is_a_schema() -> None:
    """By its own dialect, and it names each setting of the tables with its meaning."""
    Draft202012Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA, ensure_ascii=False)
    for _, _, row in walk(ROOT):
        assert json.dumps(row.name) + ": " in text
        assert json.dumps(row.doc, ensure_ascii=False)[1:-1] in text


def test_no_kind_of_value_is_unknown() -> None:
    """A new kind of reader needs a row: nothing is taken for anything."""
    for _, _, row in walk(ROOT):
        assert of(row.reader)
    with pytest.raises(UnknownKind):
        of(Reader("a phase of the moon", lambda place: None))


def test_the_sample() -> None:
    """As it is, and with every setting switched on."""
    assert wrong(SAMPLE.read_text(encoding="utf-8")) == []
    assert wrong(uncommented()) == []


@pytest.mark.parametrize(
    "text",
    [
        "port: ${PORT}\ntimeouts: {first-byte: 90, idle: 1m30s, drain: 0}\nlimits: {max-body: 8MiB}",
        "tls:\nmetrics: {enable: no}\nledger: false\ntranslation: STRICT\nrouting: {strategy: RR}",
        "api-keys: [a, {name: ci, key: b, limits: {usd-per-day: 5}}, null]\nproxy-url: direct",
        "ampcode: {upstream-url: '', fallback: never}",
        "ampcode: {fallback: [{role: rush, action: allow}, {model: [a, b], daily-tokens: 3}]}",
        "claude-api-key: [{api-key: x, base-url: 'https://a.example/v1', headers: {X-A: 1, X-B: }}]",
        "config-version: 8\nserver: {port: 1}",
        "logging-to-file: true",
    ],
)
def test_taken(text: str) -> None:
    """What ``ampproxy check`` takes, in all ways of writing it."""
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("port: 99999", "port"),
        ("port: '8317x'", "port"),
        ("prot: 8317", ""),
        ("timeouts: {idle: soon}", "timeouts"),
        ("limits: {max-body: 64 parsecs}", "limits"),
        ("translation: loose", "translation"),
        ("ampcode: {upstream-url: 'ftp://x'}", "ampcode"),
        ("ampcode: {fallback: [{role: cook, action: allow}]}", "ampcode"),
        ("claude-api-key: [{api-key: x, proxy-url: 'x:1'}]", "claude-api-key"),
        ("ampcode: {model-mappings: [{from: a}]}", "ampcode"),
        ("debug: perhaps", "debug"),
    ],
)
def test_refused(text: str, where: str) -> None:
    """What it refuses, at the setting or at the section around it."""
    found = wrong(text)
    assert found
    assert all(path.startswith(where) for path in found)


def test_documentation() -> None:
    """Every configuration in the documentation is right by it."""
    blocks = [block for block in BLOCKS if (block.language, block.kind) == ("yaml", "config")]
    assert len(blocks) >= 10
    assert {f"{block.page}:{block.line}": found for block in blocks if (found := wrong(block.text))} == {}


def test_shipped() -> None:
    """The file beside the sample is made by ``ampproxy schema > etc/ampproxy.schema.json``."""
    assert json.loads(SAMPLE.with_name("ampproxy.schema.json").read_text(encoding="utf-8")) == SCHEMA


def test_printed(tmp_path: Path) -> None:
    """``ampproxy schema`` needs no configuration."""
    done = CliRunner().invoke(main, ["schema"], env={"HOME": str(tmp_path)})
    assert (done.exit_code, json.loads(done.output)) == (0, SCHEMA)
