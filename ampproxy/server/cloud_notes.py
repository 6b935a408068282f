"""What of the way from Amp's cloud can be seen in its requests alone, for the doctor: kept in memory."""

from __future__ import annotations

from collections.abc import Callable

from ampproxy.status import CloudTraffic


class CloudNotes:
    """Takes down when something was seen last.

    :param wall: seconds since the epoch.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._wide: tuple[str, float] = ("", 0.0)
        self._unmarked = 0.0

    def wide_key(self, client: str) -> None:
        """A key of ``api-keys`` came by the public address, or by the listener for Amp's cloud.

        :param client: how the log names whose it is.
        """
        self._wide = client, self._wall()

    def unmarked(self) -> None:
        """A request of Amp's cloud came where all of the gateway is, and looked like one of this machine."""
        self._unmarked = self._wall()

    def traffic(self) -> CloudTraffic:
        """All of it."""
        client, at = self._wide
        return CloudTraffic(wide_client=client, wide_at=at, unmarked_at=self._unmarked)
