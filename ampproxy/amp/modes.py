"""Which models Amp's present generation asks for, in each of its modes, from Amp's cloud.

Read in the CLI of 23 September 2026. Amp may choose others at any time, and names the models that an account
can have in ``getAgentModelCatalog``; this table is what is known without asking.
"""

from __future__ import annotations

from collections.abc import Iterable

from ampproxy.model.base import Value

#: When it was read.
AS_OF = "2026-09-23"


class ModeUse(Value, frozen=True):
    """A model that a mode uses.

    :param mode: as the user chooses it; those that the CLI hides are in brackets.
    :param model: as Amp names it, ``provider/model``.
    :param effort: how much it is to think.
    """

    mode: str
    model: str
    effort: str = ""


MODES: tuple[ModeUse, ...] = (
    ModeUse("low", "openai/gpt-5.6-terra", "low"),
    ModeUse("low", "zhipuai/glm-5.3-flash", "high"),
    ModeUse("medium", "openai/gpt-5.6-sol", "medium"),
    ModeUse("high", "openai/gpt-6-astra", "medium"),
    ModeUse("ultra", "anthropic/claude-fable-5-1", "high"),
    ModeUse("Puck", "openai/gpt-5.6-sol", "none"),
    ModeUse("review", "openai/gpt-5.5"),
    ModeUse("(smart)", "anthropic/claude-opus-4-8"),
    ModeUse("(large)", "anthropic/claude-opus-4-8"),
    ModeUse("(deep)", "openai/gpt-5.5"),
    ModeUse("(rush)", "openai/gpt-5.5"),
)


def asked_models(catalog: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """Each model that Amp's cloud may ask for, with the modes that do; those of the modes come first.

    :param catalog: the models that Amp names for the account.
    """
    found: dict[str, list[str]] = {}
    for use in MODES:
        found.setdefault(use.model, []).append(use.mode)
    for model in catalog:
        found.setdefault(model, [])
    return {model: tuple(modes) for model, modes in found.items()}
