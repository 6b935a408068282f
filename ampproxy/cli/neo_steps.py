"""What ``ampproxy neo`` does at Amp, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from ampproxy.amp.connections import CUSTOM_URL, Connection, Wanted, taken_before
from ampproxy.amp.model_mapping import Rule
from ampproxy.desktop.neo.account import AmpAccount, AmpRefused
from ampproxy.desktop.neo.trial import PublicAddress
from ampproxy.wire.redact import Secret, printable

#: Seconds within which a running service has read its changed configuration, with room to spare.
_RELOADED = 10.0
#: Seconds between two requests of Amp's own that are asked for: it refuses what comes within some five.
ACCESS_PAUSE = 6.0
Report = Callable[[str], object]


def put_in_force(url: str, key: Secret) -> None:
    """Wait until the public address takes the key, or for some seconds in vain: a trial finds out why."""
    address, until = PublicAddress(url, key), time.monotonic() + _RELOADED
    while not address.takes_key() and time.monotonic() < until:
        time.sleep(0.2)


def connect(account: AmpAccount, wanted: Sequence[Wanted], key: Secret, report: Report) -> bool:
    """Make these connections, or change those that are like them; have Amp test each, and activate it.

    :return: whether all of them are active.
    :raises AmpRefused: Amp did not do it.
    """
    listing = account.listing()
    if CUSTOM_URL not in listing.available:
        raise AmpRefused(
            "your account at Amp may have no connection to a URL of your own (a plan, a switch in Amp's"
            " settings, or a workspace's policy decides that)"
        )
    why = account.why_not()
    if why:
        raise AmpRefused(f"Amp allows no connection to a URL of your own: {why}")
    done = [_connect(account, one, key, listing.keys, report) for one in wanted]
    _warn_of_others(account, wanted, report)
    return all(done)


def _connect(
    account: AmpAccount, wanted: Wanted, key: Secret, there: Iterable[Connection], report: Report
) -> bool:
    found = next((one for one in there if wanted.is_like(one)), None)
    if found is None:
        found = account.create(wanted, key)
        report(f"{wanted.name}: created, inactive (id {found.id})")
    else:
        account.give_key(found, key)
        if found.config.modelMapping != wanted.mapping:
            found = account.map_anew(found, wanted)
            report(f"{wanted.name}: its mapping was replaced (id {found.id})")
    why = account.test(found)
    if why:
        report(f"{wanted.name}: Amp's test failed, so it stays {_state(found)}: {why}")
        return False
    if not found.active:
        account.set_active(found, True)
    account.put_first(found)
    report(f"{wanted.name}: tested by Amp, active, and first")
    return True


def _state(one: Connection) -> str:
    return "active" if one.active else "inactive"


def _warn_of_others(account: AmpAccount, wanted: Iterable[Wanted], report: Report) -> None:
    there = account.listing().keys
    for one in wanted:
        mine = next((other for other in there if one.is_like(other)), None)
        for rule in one.rules if mine is not None else ():
            assert mine is not None
            for other in taken_before(mine, rule.pattern, there):
                report(f"{printable(rule.pattern)} goes to {printable(other.name or other.type)} first")


def check_access(account: AmpAccount, mine: Iterable[Connection], thread: str, report: Report) -> bool:
    """Have Amp make a short request to one model of each active connection; whether all of them were served.

    :param thread: one of the account's own.
    :raises AmpRefused: Amp did not do it.
    """
    good = True
    for name, model, why in accesses(account, mine, thread):
        good = good and not why
        report(f"{printable(model)} by {name}: {why or 'served'}")
    return good


def accesses(account: AmpAccount, mine: Iterable[Connection], thread: str) -> Iterator[tuple[str, str, str]]:
    """Likewise; the name of each connection, its model, and what was wrong (empty: nothing).

    :raises AmpRefused: Amp did not do it.
    """
    for number, (name, model) in enumerate(_models_to_check(mine)):
        if number:
            # Amp refuses what comes closer.
            time.sleep(ACCESS_PAUSE)
        yield name, model, account.served(model, thread).why


def _models_to_check(mine: Iterable[Connection]) -> Iterator[tuple[str, str]]:
    """The name of each active connection, and the first model that it takes by name."""
    for one in mine:
        exact = (rule for rule in _rules(one) if rule.is_exact and not rule.excluded)
        first = next(exact, None) if one.active else None
        if first is not None:
            yield printable(one.name or one.id), first.pattern


def _rules(one: Connection) -> Iterable[Rule]:
    try:
        return one.rules
    except ValueError:
        return ()


def connect_with_key(account: AmpAccount, mine: Iterable[Connection], key: Secret, report: Report) -> None:
    """Give connections another key, and have Amp test them.

    :raises AmpRefused: Amp did not do it.
    """
    for one in mine:
        account.give_key(one, key)
        why = account.test(one)
        report(f"{printable(one.name or one.id)}: has the new key; Amp's test: {why or 'ok'}")


def disconnect(account: AmpAccount, mine: Iterable[Connection], report: Report) -> None:
    """Deactivate and remove connections.

    :raises AmpRefused: Amp did not do it.
    """
    for one in mine:
        if one.active:
            account.set_active(one, False)
        account.delete(one)
        report(f"{printable(one.name or one.id)}: removed")
