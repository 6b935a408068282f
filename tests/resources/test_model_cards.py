"""What lists of models say of each: lifecycle, limits and abilities, in each dialect's own members."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import anthropic.types
import openai.types
import pytest
from msgspec.structs import replace

from ampproxy.catalog.families import Family, Override
from tests.resources.harness import CLIENT_KEY, World

CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - api-key: k
    base-url: "http://claude.test"
    models:
      - claude-opus-5-5
      - {{name: claude-sonnet-4-5-20250929, alias: sonnet}}
      - claude-3-opus-20240229
codex-api-key: [{{api-key: k, base-url: "http://openai.test/v1", models: [gpt-5.1]}}]
openai-compatibility:
  - name: other
    base-url: "http://other.test/v1"
    api-key-entries: [{{api-key: k}}]
    models: ["qwen3-coder:30b", nobody-knows-it]
gemini-api-key: [{{api-key: k, base-url: "http://gemini.test", models: [gemini-4-argon]}}]
"""
#: 2026-11-29.
NOW = 1_795_953_600.0
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def world() -> World:
    found = World(CONFIG)
    found.generation.runtime = replace(found.generation.runtime, wall=lambda: NOW)
    found.use(CONFIG)
    return found


def claude(world: World, model: str) -> dict[str, Any]:
    entry = json.loads(world.request("GET", f"/v1/models/{model}", VERSION).body)
    listed = json.loads(world.request("GET", "/v1/models", VERSION).body)["data"]
    assert entry in listed
    anthropic.types.ModelInfo.model_validate(entry)
    return entry


def gpt(world: World, model: str) -> dict[str, Any]:
    entry = json.loads(world.request("GET", f"/v1/models/{model}").body)
    assert entry in json.loads(world.request("GET", "/v1/models").body)["data"]
    openai.types.Model.model_validate(entry)
    return entry


def gemini(world: World, model: str) -> dict[str, Any]:
    entry = json.loads(world.request("GET", f"/v1beta/models/{model}").body)
    assert entry in json.loads(world.request("GET", "/v1beta/models").body)["models"]
    return entry


def test_anthropics_members(world):
    """``ModelInfo`` whole: limits, every capability, and the stage of its life."""
    found = claude(world, "claude-opus-5-5")
    assert (found["lifecycle"], found["max_input_tokens"], found["max_tokens"]) == (
        "active",
        1_000_000,
        128_000,
    )
    capabilities = anthropic.types.ModelInfo.model_validate(found).capabilities
    assert capabilities is not None
    types = capabilities.thinking.types
    taken = {name: getattr(types, name).supported for name in type(types).model_fields}
    assert taken == {"adaptive": True, "enabled": False, "disabled": False, "between_tools": False}
    efforts = capabilities.effort
    assert efforts.xhigh is not None
    assert all(level.supported for level in (efforts.low, efforts.high, efforts.xhigh, efforts.max))
    assert capabilities.pdf_input.supported
    assert not capabilities.batch.supported


def test_anthropics_lifecycle(world):
    """A model that will go, under the name that clients have for it, and one that has gone."""
    sonnet = claude(world, "sonnet")
    assert (sonnet["lifecycle"], sonnet["retires_at"]) == ("deprecated", "2026-11-30T00:00:00Z")
    old = claude(world, "claude-3-opus-20240229")
    assert (old["lifecycle"], old["retires_at"]) == ("retired", "2026-01-05T00:00:00Z")


def test_another_vendors_model_in_anthropics_list(world):
    """It can be asked to think in any way, for each is translated; what it has not, it has not."""
    capabilities = claude(world, "gpt-5.1")["capabilities"]
    types = {name: told["supported"] for name, told in capabilities["thinking"]["types"].items()}
    assert types == {"adaptive": True, "enabled": True, "disabled": True, "between_tools": False}
    assert capabilities["image_input"]["supported"]
    assert not capabilities["citations"]["supported"]
    coder = claude(world, "qwen3-coder:30b")
    assert coder["capabilities"]["thinking"]["supported"] is False
    assert coder["capabilities"]["image_input"]["supported"] is False
    assert coder["max_input_tokens"] == 262_144


def test_openais_members(world):
    """OpenAI's own date of the end, and what compatible servers say."""
    assert gpt(world, "gpt-5.1") == {
        "id": "gpt-5.1",
        "object": "model",
        "created": 0,
        "owned_by": "openai",
        "context_length": 400_000,
        "max_completion_tokens": 128_000,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "capabilities": {"tools": True, "vision": True, "reasoning": True},
        "reasoning_efforts": ["low", "medium", "high"],
        "lifecycle": "deprecated",
        "shutdown_date": "2027-04-01",
        "replacement": "gpt-6.2-sol",
    }
    opus = gpt(world, "claude-opus-5-5")
    assert opus["architecture"]["input_modalities"] == ["text", "image", "file"]
    assert not {"lifecycle", "shutdown_date", "replacement"} & set(opus)


def test_geminis_members(world):
    """Its limits, whether it thinks, and the status that its answers have."""
    found = gemini(world, "gemini-4-argon")
    assert (found["inputTokenLimit"], found["outputTokenLimit"], found["thinking"]) == (
        1_000_000,
        65_536,
        True,
    )
    assert "modelStatus" not in found
    assert gemini(world, "sonnet")["modelStatus"] == {
        "modelStage": "DEPRECATED",
        "retirementTime": "2026-11-30T00:00:00Z",
        "message": "Its successor is claude-sonnet-5-5.",
    }


def test_what_nobody_knows_is_not_made_up(world):
    """A name that fits nothing has a place in the lists, and nothing is said of it."""
    assert gpt(world, "nobody-knows-it") == {
        "id": "nobody-knows-it",
        "object": "model",
        "created": 0,
        "owned_by": "other",
    }
    found = claude(world, "nobody-knows-it")
    assert (found["capabilities"], found["max_tokens"], found["lifecycle"]) == (None, None, "active")
    assert "inputTokenLimit" not in gemini(world, "nobody-knows-it")


def test_what_the_vendor_declares_is_shown():
    """From the moment that it is known, with its name for people and its day."""
    world = World(CONFIG)
    family = Family(names=("x",), title="Opus", max_output=7, released=date(2026, 11, 4))
    layer = {"claude-opus-5-5": Override(family, "list")}
    world.generation.runtime = replace(world.generation.runtime, wall=lambda: NOW)
    before = claude(world, "claude-opus-5-5")
    world.generation.runtime = replace(
        world.generation.runtime, knowledge=lambda config: config.families.above(listed=layer)
    )
    world.generation.find_models()
    after = claude(world, "claude-opus-5-5")
    assert (before["max_tokens"], after["max_tokens"]) == (128_000, 7)
    assert (after["display_name"], after["created_at"]) == ("Opus", "2026-11-04T00:00:00Z")


def test_a_list_is_put_together_once(world):
    """A thousand models take no time to list again; the next day it is made anew."""
    first = world.generation.listed()
    assert world.generation.listed() is first
    world.generation.runtime = replace(world.generation.runtime, wall=lambda: NOW + 2 * 86_400)
    try:
        later = {model.id: model.lifecycle for model in world.generation.listed()}
        assert later["sonnet"] == "retired"
    finally:
        world.generation.runtime = replace(world.generation.runtime, wall=lambda: NOW)
