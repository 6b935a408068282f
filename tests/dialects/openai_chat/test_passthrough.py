"""Requests of chat clients that pass through untranslated."""

from __future__ import annotations

from ampproxy.dialects.openai_chat.passthrough import without_reasoning

BODY = (
    b'{"model": "m",  "messages": [{"role":"user","content":"what is \\"reasoning_content\\"?"}, '
    b'{"role":"assistant","content":"it","reasoning_content":"hm"}], "seed": 9007199254740993}'
)


def test_openai_gets_no_thinking_of_other_servers() -> None:
    """OpenAI refuses the member that another server's answer left in the thread."""
    body, losses = without_reasoning(BODY, "openai/gpt-5.4")
    assert b'"reasoning_content":' not in body
    assert b'\\"reasoning_content\\"?' in body
    assert b'{"role":"assistant","content":"it"}' in body
    assert b"9007199254740993" in body
    assert [loss.path for loss in losses] == ["messages[1]"]


def test_others_get_their_own_back() -> None:
    """DeepSeek refuses a tool loop without its thinking: the very same bytes go there."""
    assert without_reasoning(BODY, "deepseek-reasoner")[0] is BODY


def test_words_in_a_text_are_no_member() -> None:
    """What a user writes is left alone."""
    body = BODY.replace(b',"reasoning_content":"hm"', b"")
    assert without_reasoning(body, "gpt-5.4")[0] is body
