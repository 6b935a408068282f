"""A client key is written into the configuration file, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.config.edit import CannotEdit, add_client_key, client_keys, remove_client_key
from ampproxy.config.load import parse

KEY = "Kq_7-x"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("port: 1 # one\n", 'port: 1 # one\napi-keys:\n  - "Kq_7-x"\n'),
        ("port: 1\n# end", 'port: 1\n# end\napi-keys:\n  - "Kq_7-x"\n'),
        ("\ufeffport: 1\r\n", '\ufeffport: 1\r\napi-keys:\r\n  - "Kq_7-x"\r\n'),
        ("  port: 1\n", '  port: 1\n  api-keys:\n    - "Kq_7-x"\n'),
        ("---\n# c\nport: 1\n...\n", '---\n# c\napi-keys:\n  - "Kq_7-x"\nport: 1\n...\n'),
        ("api-keys: # none yet\nport: 1\n", 'api-keys: ["Kq_7-x"] # none yet\nport: 1\n'),
        ("api-keys: ~\n", 'api-keys: ["Kq_7-x"]\n'),
        ("api-keys: [] # none\n", 'api-keys: ["Kq_7-x"] # none\n'),
        ("api-keys: ['']\n", "api-keys: [\"Kq_7-x\", '']\n"),
        ("api-keys:\n  - ''  # blank\n", "api-keys:\n  - \"Kq_7-x\"\n  - ''  # blank\n"),
        ("note: |\n  text\n\n", 'note: |\n  text\n\napi-keys:\n  - "Kq_7-x"\n'),
        # CLIProxyAPI 8's layout.
        ("config-version: 8\n", 'config-version: 8\naccess:\n  api-keys:\n    - "Kq_7-x"\n'),
        (
            "api-keys: {claude: []} # mine\n",
            'api-keys: {claude: []} # mine\naccess:\n  api-keys:\n    - "Kq_7-x"\n',
        ),
        ("server: {port: 1}\r\n", 'server: {port: 1}\r\naccess:\r\n  api-keys:\r\n    - "Kq_7-x"\r\n'),
        (
            "access: # who may\n  # mine\n  api-keys:\n    - a # one\n",
            'access: # who may\n  # mine\n  api-keys:\n    - "Kq_7-x"\n    - a # one\n',
        ),
        ("access:\n  api-keys: # none\n", 'access:\n  api-keys: ["Kq_7-x"] # none\n'),
        ("access: {api-keys: [a]} # b\n", 'access: {api-keys: ["Kq_7-x", a]} # b\n'),
        ("access: {} # b\n", 'access: {api-keys: ["Kq_7-x"]} # b\n'),
        ("access: # b\nserver: {}\n", 'access: {api-keys: ["Kq_7-x"]} # b\nserver: {}\n'),
        ("access:\n  other: 1\n", 'access:\n  api-keys:\n    - "Kq_7-x"\n  other: 1\n'),
        # A list at the old place is in force as long as there is none at the new one.
        ("server: {}\napi-keys: [a]\n", 'server: {}\napi-keys: ["Kq_7-x", a]\n'),
        ("api-keys: [a]\naccess: {api-keys: []}\n", 'api-keys: [a]\naccess: {api-keys: ["Kq_7-x"]}\n'),
        (
            "routing: {}\noauth: {auth-dir: a}\n",
            'routing: {}\noauth: {auth-dir: a}\napi-keys:\n  - "Kq_7-x"\n',
        ),
    ],
)
def test_where_it_goes(before, after):
    """The key becomes the first of the list, which is made where there is none; all else stays."""
    assert add_client_key(before, KEY) == after
    assert client_keys(after)[0] == KEY
    assert client_keys(remove_client_key(after, KEY)) == client_keys(before)
    assert load_keys(after)[0] == KEY


def load_keys(text: str) -> list[str]:
    """The keys as the service reads them."""
    config = parse(text, name="a", environ={}, home=Path("/"), read_secret=lambda path: "")
    return [key.reveal() for key in config.api_keys]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("port: 1\napi-keys:\n  - Kq_7-x\n", "port: 1\n"),
        ("api-keys:\n  # mine\n  - Kq_7-x\nport: 1\n", "api-keys:\n  # mine\nport: 1\n"),
        ("api-keys:\n  - Kq_7-x # why\n  - b\n", "api-keys:\n # why\n  - b\n"),
        ("api-keys: [a, Kq_7-x]", "api-keys: [a]"),
        ("api-keys: [Kq_7-x, b] # c", "api-keys: [b] # c"),
        ("api-keys:\n- a\n- 'Kq_7-x'", "api-keys:\n- a\n"),
        ("api-keys: [a]", "api-keys: [a]"),
        ("port: 1", "port: 1"),
        ("server: {}\naccess:\n  api-keys:\n    - Kq_7-x\n", "server: {}\n"),
        ("access:\n  api-keys:\n    - Kq_7-x\n  other: 1\n", "access:\n  other: 1\n"),
        (
            "access: # a\n  api-keys:\n    - Kq_7-x # b\n    - c\n",
            "access: # a\n  api-keys:\n # b\n    - c\n",
        ),
        ("access: {api-keys: [Kq_7-x]}", "access: {api-keys: []}"),
        (
            "api-keys: {claude: []}\naccess: {api-keys: [a, Kq_7-x]}",
            "api-keys: {claude: []}\naccess: {api-keys: [a]}",
        ),
    ],
)
def test_how_it_goes(before, after):
    """The key goes with its line, other keys and comments stay."""
    assert remove_client_key(before, KEY) == after


@pytest.mark.parametrize(
    "text",
    [
        "{port: 1}",
        "- a\n",
        "api-keys: x\n",
        "a: &k []\napi-keys: *k\n",
        "api-keys: &k []\nx: *k\n",
        "a: [",
        "",
        "access: 1\n",
        "access: [a]\n",
        "access: {api-keys: a}\n",
        "x: &a {api-keys: [b]}\naccess: *a\n",
    ],
)
def test_refused(text):
    """Where nothing can be added safely, nothing is."""
    with pytest.raises(CannotEdit):
        add_client_key(text, KEY)


def test_shared_lists():
    """A list that an anchor shares is left alone: another setting would lose the key, too."""
    with pytest.raises(CannotEdit):
        remove_client_key("api-keys: &k [Kq_7-x]\nx: *k\n", KEY)


@given(
    st.dictionaries(
        st.sampled_from(["port", "host", "api-keys", "ampcode", "debug"]),
        st.one_of(
            st.none(),
            st.integers(),
            st.text("ab #:'\"\n-", max_size=9),
            st.lists(st.text("a' #", max_size=3)),
        ),
        min_size=1,
    ),
    st.booleans(),
    st.booleans(),
)
def test_any_file(content, flow, comment):
    """Whatever a file holds: the key is added, or nothing is; all else means what it meant."""
    if flow:
        text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in content.items())
    else:
        text = yaml.safe_dump(content, sort_keys=False)
    text = "# mine\n" * comment + text + "# last\n" * comment
    try:
        changed = add_client_key(text, KEY)
    except CannotEdit:
        assert not isinstance(content.get("api-keys"), (list, type(None)))
        return
    left = iter(changed)
    assert all(letter in left for letter in text.replace("api-keys: null", "api-keys: "))
    keys = content.get("api-keys") or []
    assert yaml.safe_load(changed) == {**content, "api-keys": [KEY, *keys]}
    back = yaml.safe_load(remove_client_key(changed, KEY)) or {}
    assert (back.pop("api-keys", None) or []) == keys
    assert back == {name: value for name, value in content.items() if name != "api-keys"}
