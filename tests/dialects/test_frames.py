"""Events that repeat the one before in all but their words are read by comparing, and by nothing less."""

from __future__ import annotations

import pytest

from ampproxy.dialects.frames import Frame

PLAIN = b'data: {"id":"x","choices":[{"delta":{"content":"%b"},"logprobs":null}]}'
PADDED = b'data: {"choices":[{"delta":{"content":"%b"}}],"obfuscation":"%b"}'
NUMBERED = b'{"type":"t.delta","sequence_number":%d,"item_id":"i","delta":"%b","logprobs":[]}'
COUNTED = b'{"candidates":[{"content":{"parts":[{"text":"%b"}]}}],"usageMetadata":{"totalTokenCount":%d}}'


def learned(event: bytes, text: str, key: bytes = b'"content":', open_at: tuple[bytes, ...] = ()) -> Frame:
    """A frame that has learned an event."""
    frame = Frame(key, open_at=open_at)
    assert frame.learn(event, text)
    return frame


def test_words_of_a_run() -> None:
    """All words are given, few or many, escaped or not, and empty ones."""
    frame = learned(PLAIN % b"first", "first")
    texts = ["a", "", "é", *"bcdefgh"] * 60
    events = [PLAIN % text.encode() for text in texts]
    assert frame.words(events)[:256] == texts[:256]
    assert frame.words(events, len(events) - 2) == texts[-2:]
    assert frame.words([PLAIN % b'a\\n\\"b', PLAIN % b"c"] * 3) == ['a\n"b', "c"] * 3


@pytest.mark.parametrize(
    "other",
    [
        b"data: [DONE]",
        (PLAIN % b"x").replace(b'"id":"x"', b'"id":"y"'),
        (PLAIN % b"x").replace(b"null", b"[]"),
        PLAIN % b'x","more":"',
        PLAIN % b"\\ud83d",
        PLAIN % b"a\x01b",
        PLAIN % b"\xff",
        PLAIN % b"x\\",
        PLAIN.replace(b'"%b"', b'"'),
        (PLAIN % b"x")[:-1],
    ],
)
@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_run_ends_before_anything_else(other: bytes, before: int) -> None:
    """What is not exactly one string of JSON in the frame is left to be read the long way."""
    frame = learned(PLAIN % b"first", "first")
    same = [PLAIN % b"w"] * before
    for after in (0, 1, 7):
        assert frame.words([*same, other, *[PLAIN % b"z"] * after]) == ["w"] * before


def test_padding_may_differ() -> None:
    """OpenAI's last member hides how long the words are; a member behind it is another event's."""
    frame = learned(PADDED % (b"a", b"q7"), "a")
    assert frame.words([PADDED % (b"b", b""), PADDED % (b"c", b"x1y2")]) == ["b", "c"]
    assert frame.words([(PADDED % (b"b", b"z")).replace(b'"z"}', b'"z","error":"e"}')]) == []


def test_numbers_may_differ() -> None:
    """The count of the events, as long as it has as many digits: digits alone."""
    frame = learned(NUMBERED % (8, b"a"), "a", b'"delta":')
    assert frame.words([NUMBERED % (9, b"b"), NUMBERED % (7, b"c"), NUMBERED % (10, b"d")]) == ["b", "c"]
    assert frame.words([(NUMBERED % (9, b"b")).replace(b":9,", b":-,")]) == []


def test_a_number_of_any_length() -> None:
    """What is no count of events is compared as it stands."""
    events = [(NUMBERED % (7, b"w")).replace(b":7", b":1" + b"0" * 5000)] * 9
    frame = learned(events[0], "w", b'"delta":')
    assert frame.words(events) == ["w"] * 9
    assert frame.words([NUMBERED % (7, b"w")] * 9) == []


HIDDEN = NUMBERED[:-1] + b',"obfuscation":"%b"}'


def test_words_of_a_numbered_run() -> None:
    """Many at once, with and without padding, as far as their numbers have as many digits."""
    texts = ["a", "", "é", 'q"\\', *"bcdefgh"] * 9
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"').encode() for text in texts]
    frame = learned(NUMBERED % (10, b"a"), "a", b'"delta":')
    events = [NUMBERED % (11 + at, text) for at, text in enumerate(quoted)]
    assert frame.words(events) == texts[:89]
    assert frame.words(events, 89) == []
    assert frame.words([NUMBERED % (44, text) for text in quoted]) == texts
    frame = learned(HIDDEN % (10, b"a", b"x"), "a", b'"delta":')
    events = [HIDDEN % (11 + at, text, b"x" * (at % 5)) for at, text in enumerate(quoted)]
    assert frame.words(events) == texts[:89]
    assert frame.words(events, 89) == []


@pytest.mark.parametrize(
    "other",
    [
        HIDDEN % (50, b"x", b'","more":"'),
        (HIDDEN % (50, b"x", b"y")).replace(b'"y"}', b'"y","error":"e"}'),
        (HIDDEN % (50, b"x", b"y")).replace(b'"y"}', b"y}"),
        (HIDDEN % (50, b"x", b"y")).replace(b"[]", b"[1]"),
        (HIDDEN % (50, b"x", b"y")).replace(b":50", b":-1"),
        (HIDDEN % (50, b"x", b"y")).replace(b'"i"', b'"j"'),
        HIDDEN % (500, b"x", b"y"),
        HIDDEN % (5, b"x", b"y"),
        HIDDEN % (50, b"\\ud83d", b"y"),
        HIDDEN % (50, b"a\x01b", b"y"),
        HIDDEN % (50, b"x\\", b"y"),
        NUMBERED % (50, b"x"),
        b"{}",
        b"",
    ],
)
@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_numbered_run_ends_before_anything_else(other: bytes, before: int) -> None:
    """Many at once are compared as strictly as one."""
    frame = learned(HIDDEN % (49, b"a", b"z"), "a", b'"delta":')
    same = [HIDDEN % (50, b"w", b"abc")] * before
    for after in (0, 1, 7):
        assert frame.words([*same, other, *[HIDDEN % (51, b"z", b"")] * after]) == ["w"] * before


def test_counts_may_differ() -> None:
    """Behind the member that is open, events may differ; they end as objects do."""
    frame = learned(COUNTED % (b"a", 1), "a", b'"text":', (b'"usageMetadata"',))
    assert frame.words([COUNTED % (b"b", 22), COUNTED % (b'c\\"', 333)]) == ["b", 'c"']
    assert frame.words([(COUNTED % (b"b", 22))[:-1] + b","]) == []
    assert not Frame(b'"text":', open_at=(b'"usageMetadata"',)).learn(b'{"text":"a"}', "a")


@pytest.mark.parametrize(
    "other",
    [
        (COUNTED % (b"x", 1))[:-1] + b",",
        (COUNTED % (b"x", 1)).replace(b'"parts"', b'"other"'),
        (COUNTED % (b"x", 1)).replace(b'"usageMetadata"', b'"promptFeedback"'),
        (COUNTED % (b"x", 1)).replace(b"}]}}]", b'}],"role":"model"}}]'),
        COUNTED % (b"\\ud83d", 1),
        COUNTED % (b"a\x01b", 1),
        b"{}",
        b"",
    ],
)
@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_run_with_counts_ends_before_anything_else(other: bytes, before: int) -> None:
    """Many at once are compared as strictly as one; a quote in the words is no end."""
    frame = learned(COUNTED % (b"a", 1), "a", b'"text":', (b'"usageMetadata"',))
    same = [COUNTED % (b"w", number) for number in range(before)]
    for after in (0, 1, 7):
        assert frame.words([*same, other, *[COUNTED % (b"z", 1)] * after]) == ["w"] * before
    quoted = [*same, *[COUNTED % (b'c\\"', 3)] * 9]
    words = frame.words(quoted)
    words += frame.words(quoted, len(words)) if len(words) < len(quoted) else []
    assert words == ["w"] * before + ['c"'] * 9


def test_a_key_that_stands_twice_frames_nothing() -> None:
    """It is not known which of the two has the words."""
    assert not Frame(b'"content":').learn(b'data: {"content":"a","x":{"content":"a"}}', "a")
    assert not Frame(b'"content":').learn(b'data: {"content":"\\u0061"}', "a")


def test_a_stream_whose_events_all_differ_is_left_alone() -> None:
    """Frames learned in vain cost more than they save; one that is met again begins the count anew."""
    frame = Frame(b'"content":')
    for number in range(7):
        assert frame.learn(b'data: {"n":%d,"content":"a"}' % number, "a")
    assert frame.words([b'data: {"n":6,"content":"b"}']) == ["b"]
    for number in range(8):
        assert frame.learn(b'data: {"n":%d,"content":"a"}' % number, "a")
    assert not frame.learn(b'data: {"n":9,"content":"a"}', "a")
    assert frame.words([b'data: {"n":9,"content":"a"}']) == []
