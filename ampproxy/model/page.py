"""The page of the gateway's owner: who may see it, and how much it may take."""

from __future__ import annotations

from ampproxy.model.base import Value


class Page(Value, frozen=True, kw_only=True):
    """The page of the gateway's owner and the admin API behind it (our own section ``page``).

    :param enable: whether there is any.
    :param ask_key: whether a browser of the service's own user on this machine must present a key, too.
    :param session: seconds for which a browser that presented a key is let in.
    :param max_sessions: so many browsers are; of more the one that came first is not any longer.
    :param max_watching: so many pages show requests as they happen at a time.
    :param recent: so many exchanges that have ended are kept in memory for such a page.
    :param max_rows: so many rows of the ledger one answer has.
    :param doctor_timeout: seconds that the doctor may take.
    """

    enable: bool = True
    ask_key: bool = False
    session: float = 12 * 3600.0
    max_sessions: int = 100
    max_watching: int = 16
    recent: int = 100
    max_rows: int = 200
    doctor_timeout: float = 120.0
