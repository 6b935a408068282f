"""What a hub keeps."""

from __future__ import annotations

from ampproxy.state.entries import Entry, decode, encode
from ampproxy.state.hub import Hub


def keys(hub, now):
    return [entry.key for entry in hub.entries(now)]


def test_entries_end():
    """An entry is there until its time is over, a tombstone as well."""
    hub = Hub()
    hub.put(Entry("cooldown", "a", b"1", 10.0), 100.0)
    hub.put(Entry("cooldown", "b", None, 20.0), 100.0)
    assert keys(hub, 109.0) == ["a", "b"]
    assert keys(hub, 111.0) == ["b"]
    assert keys(hub, 121.0) == []


def test_a_kind_has_a_bound():
    """Of too many the one goes that was put longest ago; what is over is swept away with the others."""
    hub = Hub({"pin": 3})
    for number in range(5):
        hub.put(Entry("pin", str(number), b"1", 1000.0), float(number))
    assert keys(hub, 5.0) == ["2", "3", "4"]
    many = Hub({})
    for number in range(1000):
        many.put(Entry("pin", str(number), b"1", 1.0), 10.0 * number)
    assert len(many._kinds["pin"]) < 5


def test_the_younger_wins_in_an_exchange():
    """What a view gives when it connects does not take the place of what was learned since."""
    hub = Hub()
    assert hub.put(Entry("cooldown", "a", b"1", 100.0), 50.0)
    assert not hub.put(Entry("cooldown", "a", b"2", 100.0, age=20.0), 60.0, exchanged=True)
    assert hub.put(Entry("cooldown", "a", b"3", 100.0, age=5.0), 60.0, exchanged=True)
    assert not hub.put(Entry("cooldown", "a", b"3", 500.0, age=1.0), 60.0, exchanged=True)
    (entry,) = hub.entries(60.0)
    assert entry == Entry("cooldown", "a", b"3", 500.0, 5.0)


def test_entries_travel_as_bytes():
    """Both ways, the end of one as well."""
    for entry in (Entry("pin", "a\0b", b"\xff", 1.5, 2.0), Entry("pin", "", None, 0.0)):
        assert decode(encode(entry)) == entry
