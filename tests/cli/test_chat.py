"""``ampproxy chat``: turns, what is kept of them, and what a failed one does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from ampproxy.cli import chat, main, try_
from ampproxy.cli.chat import conclude, converse
from ampproxy.cli.service_client import ServiceClient
from ampproxy.cli.try_ import Tried
from ampproxy.status import Status


def test_each_turn_has_all_before_it(capsys):
    """Instructions first, then turns; one that failed is not sent again."""
    sent: list[Any] = []
    answers = iter([Tried(200, text="one"), Tried(429, error="Slow down."), Tried(200, text="two")])

    def send(body: dict[str, object]) -> Tried:
        sent.append(body["messages"])
        return next(answers)

    assert converse("m", "Be brief.", 9, iter(["first", "lost", "second"]), send, conclude)
    assert sent[-1] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "second"},
    ]
    assert "Error (status 429): Slow down." in capsys.readouterr().err


@pytest.mark.parametrize(("error", "status"), [("", 0), ("It broke off.", 1)])
def test_the_exit_status_is_the_last_turns(monkeypatch, tmp_path, error, status):
    """Lines come from the standard input, without empty ones; a program sees no prompt."""
    asked: list[tuple[str, Any]] = []

    def ask(asker: ServiceClient, path: str, body: Any, thread: str, show: Any) -> Tried:
        asked.append((path, body["messages"][-1]["content"]))
        show("well")
        return Tried(200, text="well", error=error)

    monkeypatch.setattr(chat, "ask", ask)
    monkeypatch.setattr(ServiceClient, "mine", lambda self: None)
    file = tmp_path / "config.yaml"
    file.write_text("port: 1\n")
    done = CliRunner().invoke(main, ["chat", "m", "--as-amp", "--config", str(file)], "hi\n\n  there \n")
    assert done.exit_code == status, done.output
    assert asked == [("/api/provider/openai/v1/chat/completions", text) for text in ("hi", "there")]
    assert done.stdout == "well\n\nwell\n\n"
    done = CliRunner().invoke(main, ["chat", "m", "--json", "--config", str(file)], "hi\n")
    assert done.exit_code == status
    assert json.loads(done.stdout)["text"] == "well"


def test_without_a_service(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("port: 1\n")
    done = CliRunner().invoke(main, ["chat", "m", "--config", str(file)], "hi\n")
    assert done.exit_code == 3
    assert "ampproxy serve" in done.stderr


@pytest.mark.parametrize(
    ("mappings", "more", "told"),
    [("[{from: m, to: n}]", (), True), ("[{from: m, to: n}]", ("--as-amp",), False), ("[]", (), False)],
)
def test_a_refused_try_names_the_way_of_mappings(monkeypatch, tmp_path, mappings, more, told):
    """Where no account has a model and there are mappings, for these the request has to be made as by Amp."""
    refused = Tried(404, route="none", error="The model 'm' is not available here.")
    monkeypatch.setattr(try_, "ask", lambda *_: refused)
    monkeypatch.setattr(ServiceClient, "mine", lambda self: Status("ready", 1, 0.0))
    file = tmp_path / "config.yaml"
    file.write_text(f"ampcode: {{model-mappings: {mappings}}}\n")
    done = CliRunner().invoke(main, ["try", "m", *more, "--config", str(file)])
    assert done.exit_code == 1
    assert ("ampproxy try --as-amp m" in done.output) is told
