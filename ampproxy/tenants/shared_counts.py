"""What clients have used of their limits, in Redis: exact for all gateways that share by it.

A batch is one script, so one round trip, and all of it or nothing. It has an id, under which its results are
kept for a while: a batch of which no answer came is asked about again later, and counts once. Periods begin
by Redis's clock, whatever the machines' own show.

While Redis is away a gateway goes on, if it may, from what it saw last, and keeps what has changed since as
one sum for each client and period; that is added in Redis when it is back. A Redis that has forgotten is
given what the gateways saw last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from ampproxy.model.base import Value
from ampproxy.model.clients import KeyLimit, Period, Unit
from ampproxy.model.sharing import StateSettings
from ampproxy.state.redis.commands import Command, Commander, Sender
from ampproxy.state.redis.connect import FAILURES, reason
from ampproxy.tenants.counting import NOTHING, Amounts, LimitReached, Taken, reserve, windows_of
from ampproxy.tenants.periods import ends
from ampproxy.tenants.store import CountsFailed, Look, Order, Result, Settle, Take

#: Seconds after the end of a period for which its counts are kept, for what is settled late.
_KEPT_SECONDS = 2 * 86400
#: Milliseconds for which it is known what became of a batch.
_BATCH_KNOWN: Final = 600_000
#: Seconds after which a Redis that was never reached is asked again.
_RETRY_SECONDS = 2.0
_UNITS: Final[tuple[Unit, ...]] = ("requests", "tokens", "usd")
#: So many windows are remembered before those that are over are forgotten.
_MAX_KNOWN_WINDOWS = 10_000

#: KEYS: the batch, the epoch, what the names of counts begin with. ARGV: the work, a new epoch, how long the
#: batch is known. The work: the epoch that is known, seeds, additions, orders. Gives the epoch, the time,
#: and a result for each order; without results where Redis has another epoch, for then nothing was done.
_WORK: Final = """
local known = redis.call('GET', KEYS[1])
if known then return known end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = redis.call('GET', KEYS[2])
if not epoch then
  epoch = ARGV[2]
  redis.call('SET', KEYS[2], epoch)
end
local work = cmsgpack.unpack(ARGV[1])
if work[1] ~= epoch then return cmsgpack.pack({epoch, now}) end
local fields = {'requests', 'tokens', 'usd'}
local function name(tenant, window)
  return KEYS[3] .. tenant .. ':' .. window[1] .. ':' .. string.format('%.0f', window[2])
end
local function read(key)
  local found = redis.call('HMGET', key, unpack(fields))
  return {tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0)}
end
local function add(key, amounts, sign, ttl)
  for place, field in ipairs(fields) do
    if amounts[place] ~= 0 then
      redis.call('HINCRBY', key, field, string.format('%.0f', sign * amounts[place]))
    end
  end
  if redis.call('PTTL', key) == -1 then redis.call('PEXPIRE', key, ttl) end
end
for _, seed in ipairs(work[2]) do
  local key = name(seed[1], seed[2])
  local there, missing = read(key), {}
  for place = 1, 3 do missing[place] = math.max(0, seed[3][place] - there[place]) end
  add(key, missing, 1, seed[2][3])
end
local changed = #work[3] > 0
for _, addition in ipairs(work[3]) do
  add(name(addition[1], addition[2]), addition[3], 1, addition[2][3])
end
local function fits(limits, used, wanted)
  for _, limit in ipairs(limits) do
    local left = limit[3] - used[limit[1]][limit[2]]
    if limit[2] == 3 then
      if left <= 0 then return false end
    elseif wanted[limit[2]] > left then
      return false
    end
  end
  return true
end
local function take(tenant, windows, limits, wanted)
  local used = {}
  for place, window in ipairs(windows) do used[place] = read(name(tenant, window)) end
  if wanted[3] < 0 then
    wanted[3] = 0
    for _, limit in ipairs(limits) do
      if limit[2] == 3 then wanted[3] = math.max(wanted[3], limit[3] - used[limit[1]][3]) end
    end
  end
  if not fits(limits, used, wanted) then return {0, used} end
  for _, window in ipairs(windows) do add(name(tenant, window), wanted, 1, window[3]) end
  changed = true
  return {1, used}
end
local results = {}
for place, order in ipairs(work[4]) do
  local kind, tenant, windows = order[1], order[2], order[3]
  if kind == 0 then
    results[place] = take(tenant, windows, order[4], order[5])
  elseif kind == 1 then
    for _, window in ipairs(windows) do
      local key = name(tenant, window)
      if redis.call('EXISTS', key) == 1 then add(key, order[5], -1, window[3]) end
    end
    changed = true
    results[place] = {3, {}}
  else
    local used = {}
    for index, window in ipairs(windows) do used[index] = read(name(tenant, window)) end
    results[place] = {2, used}
  end
end
local packed = cmsgpack.pack({epoch, now, results})
if changed then redis.call('SET', KEYS[1], packed, 'PX', ARGV[3]) end
return packed
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.decode


class Window(NamedTuple):
    """A client's period, and when that began."""

    tenant: str
    period: Period
    start: int


_Changes: TypeAlias = "dict[Window, Amounts]"


class _Batch(Value, frozen=True):
    """What is asked of Redis at a time.

    :param id: under which it counts once.
    :param additions: what has changed while Redis was away.
    """

    id: str
    orders: tuple[Order, ...]
    additions: Mapping[Window, Amounts]
    wall: float


class SharedCounts:
    """The counts; implements :class:`ampproxy.server.limiter.Works`. Called by one thread at a time.

    :param wall: seconds since the epoch, of the clock that counts: given by how much Redis's is ahead of
        ours.
    :param connected: whether Redis is there, as far as is known.
    :param failed: called with the reason where it is not.
    """

    def __init__(
        self,
        settings: StateSettings,
        wall: Callable[[float], float],
        *,
        connected: Callable[[], bool] = lambda: True,
        failed: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._settings = settings
        self._commander = Commander(settings.prefix)
        self._sender = Sender(settings)
        self._wall = wall
        self._connected = connected
        self._failed = failed
        self._ahead = 0.0
        self._epoch = ""
        self._retry_at = 0.0
        self._known: _Changes = {}
        self._changes: _Changes = {}
        self._unsure: _Batch | None = None

    def work(self, orders: Sequence[Order]) -> list[Result]:
        """See :meth:`ampproxy.server.limiter.Works.work`.

        :raises CountsFailed: Redis is away, and the setting is that nothing is let in meanwhile.
        """
        if not self._reachable():
            self._settle_later(order for order in orders if isinstance(order, Settle))
            return self._alone(orders)
        try:
            self._greet()
            self._resolve()
        except FAILURES as error:
            self._settle_later(order for order in orders if isinstance(order, Settle))
            self._lost(error)
            return self._alone(orders)
        additions, self._changes = self._changes, {}
        batch = _Batch(os.urandom(9).hex(), tuple(orders), additions, self._now())
        try:
            return self._shared(batch)
        except FAILURES as error:
            # It may have been done all the same: what it settles and adds is asked for again under its id.
            self._unsure = batch
            for order in orders:
                if isinstance(order, Settle):
                    self._count(order, NOTHING.minus(order.back), settled=False)
            self._lost(error)
            return self._alone(orders)

    def used(self, tenant: str, limits: Iterable[KeyLimit]) -> dict[Period, Amounts]:
        (found,) = self.work([Look(tenant, tuple(limits))])
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        """Add what has changed while Redis was away, if it is back, and disconnect."""
        if self._connected() and (self._changes or self._unsure):
            try:
                self._greet()
                self._resolve()
                additions, self._changes = self._changes, {}
                self._shared(_Batch(os.urandom(9).hex(), (), additions, self._now()))
            except FAILURES as error:
                self._lost(error)
        self._sender.close()

    def _reachable(self) -> bool:
        """Whether Redis is there. One that was never asked is, until it turns out not to be: the connection
        of the rest of the service may just not have been made, and a gateway that starts must not let in what
        others have used up.
        """
        return self._connected() or (not self._epoch and time.monotonic() >= self._retry_at)

    def _now(self) -> float:
        return self._wall(self._ahead)

    def _lost(self, error: BaseException) -> None:
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        self._failed(reason(error, self._settings))

    # With Redis.

    def _greet(self) -> None:
        """Learn Redis's time before the first batch, which is counted in periods by it."""
        if not self._epoch:
            self._run(_Batch(os.urandom(9).hex(), (), {}, self._now()))

    def _resolve(self) -> None:
        """See what became of a batch of which no answer came.

        What it had taken was decided again without Redis: that counts, and not what was taken there.
        """
        unsure = self._unsure
        if unsure is None:
            return
        asked = tuple(_without_taking(order) for order in unsure.orders)
        answers = self._run(replace(unsure, orders=asked))
        self._unsure = None
        for order, answer in zip(unsure.orders, answers, strict=True):
            if isinstance(order, Take) and answer[0] == _TAKEN:
                taken = _decided(order, answer, unsure.wall)
                assert not isinstance(taken, LimitReached)
                for period, start in taken.windows:
                    _add(self._changes, Window(order.tenant, period, start), NOTHING.minus(taken.amounts))

    def _shared(self, batch: _Batch) -> list[Result]:
        answers = self._run(batch)
        return [
            self._result(order, answer, batch.wall)
            for order, answer in zip(batch.orders, answers, strict=True)
        ]

    def _run(self, batch: _Batch) -> list[Any]:
        """What the script answers to each order.

        :raises redis.RedisError: no answer came; also ``OSError``.
        """
        seeds: Mapping[Window, Amounts] = {}
        for _ in range(_ATTEMPTS):
            epoch, now, *results = self._ask(batch, seeds)
            self._ahead += now / 1000 - self._wall(self._ahead)
            if results:
                found: list[Any] = results[0]
                return found
            # Where it is another one than before, Redis has forgotten what it knew.
            seeds = self._seen(batch.additions) if self._epoch else {}
            self._epoch = epoch
        raise OSError("Redis forgets what it knows again and again")

    def _seen(self, additions: Mapping[Window, Amounts]) -> Mapping[Window, Amounts]:
        """What Redis itself had when it was seen last: what is known without what it is still to be given."""
        missing = dict(additions)
        for window, amounts in self._changes.items():
            _add(missing, window, amounts)
        unsure = () if self._unsure is None else self._unsure.orders
        for order in (order for order in unsure if isinstance(order, Settle)):
            for period, start in order.taken.windows:
                _add(missing, Window(order.taken.tenant, period, start), NOTHING.minus(order.back))
        return {
            window: amounts.minus(missing.get(window, NOTHING)) for window, amounts in self._known.items()
        }

    def _ask(self, batch: _Batch, seeds: Mapping[Window, Amounts]) -> Any:
        work = (
            self._epoch,
            [self._addition(window, amounts) for window, amounts in seeds.items()],
            [self._addition(window, amounts) for window, amounts in batch.additions.items()],
            [self._order(order, batch.wall) for order in batch.orders],
        )
        keys = [self._commander.key(*words) for words in (("batch", batch.id), ("epoch",), ("used", ""))]
        command = Command(_WORK, keys, (_encode(work), os.urandom(9).hex(), _BATCH_KNOWN), lambda _: None)
        return _decode(self._sender.run([command])[0])

    def _order(self, order: Order, wall: float) -> tuple[Any, ...]:
        if isinstance(order, Settle):
            windows = [self._window(period, start) for period, start in order.taken.windows]
            return _SETTLE, order.taken.tenant, windows, (), _amounts(order.back)
        found = windows_of(order.limits, wall)
        windows = [self._window(period, start) for period, start in found]
        if isinstance(order, Look):
            return _LOOK, order.tenant, windows, (), ()
        places = {period: place for place, (period, _) in enumerate(found, 1)}
        limits = [(places[limit.period], _UNITS.index(limit.unit) + 1, limit.most) for limit in order.limits]
        usd = -1 if order.demand.usd is None else max(0, order.demand.usd)
        return _TAKE, order.tenant, windows, limits, (1, order.demand.tokens, usd)

    def _window(self, period: Period, start: int) -> tuple[Period, int, int]:
        left = ends(period, start) - self._now() + _KEPT_SECONDS
        return period, start, max(1000, round(left * 1000))

    def _addition(self, window: Window, amounts: Amounts) -> tuple[Any, ...]:
        return window.tenant, self._window(window.period, window.start), _amounts(amounts)

    def _result(self, order: Order, answer: Any, wall: float) -> Result:
        if isinstance(order, Settle):
            self._count(order, NOTHING.minus(order.back), settled=False)
            return None
        used = _used(order.limits, answer, wall)
        for period, start in windows_of(order.limits, wall):
            self._know(Window(order.tenant, period, start), used[period])
        if isinstance(order, Look):
            return used
        result = _decided(order, answer, wall)
        if not isinstance(result, LimitReached):
            for period, start in result.windows:
                self._know(Window(order.tenant, period, start), used[period].plus(result.amounts))
        return result

    def _know(self, window: Window, amounts: Amounts) -> None:
        self._known[window] = amounts
        if len(self._known) > _MAX_KNOWN_WINDOWS:
            now = self._now()
            self._known = {
                known: each for known, each in self._known.items() if ends(known.period, known.start) > now
            }

    # Without it.

    def _alone(self, orders: Sequence[Order]) -> list[Result]:
        if self._settings.when_away == "fail-closed":
            raise CountsFailed("Redis cannot be reached (settings: state.url, state.when-away)")
        return [self._alone_with(order) for order in orders]

    def _alone_with(self, order: Order) -> Result:
        if isinstance(order, Settle):
            return None
        wall = self._now()
        windows = windows_of(order.limits, wall)
        used = {
            period: self._known.get(Window(order.tenant, period, start), NOTHING) for period, start in windows
        }
        if isinstance(order, Look):
            return used
        try:
            taken = reserve(order.tenant, order.limits, used, order.demand, wall)
        except LimitReached as reached:
            return reached
        for period, start in taken.windows:
            window = Window(order.tenant, period, start)
            self._know(window, used[period].plus(taken.amounts))
            _add(self._changes, window, taken.amounts)
        return taken

    def _settle_later(self, orders: Iterable[Settle]) -> None:
        for order in orders:
            self._count(order, NOTHING.minus(order.back), settled=True)

    def _count(self, order: Settle, amounts: Amounts, *, settled: bool) -> None:
        """Count what a settlement changes; with ``settled`` Redis has to know of it, too."""
        for period, start in order.taken.windows:
            window = Window(order.taken.tenant, period, start)
            if window in self._known:
                self._known[window] = self._known[window].plus(amounts)
            if settled:
                _add(self._changes, window, amounts)


#: Kinds of orders, and of what becomes of them.
_TAKE, _SETTLE, _LOOK = range(3)
_TAKEN = 1
#: One, and one more for each time that Redis turns out to have forgotten.
_ATTEMPTS = 3


def _without_taking(order: Order) -> Order:
    return Look(order.tenant, order.limits) if isinstance(order, Take) else order


def _decided(order: Take, answer: Any, wall: float) -> Taken | LimitReached:
    """What became of a reservation: the script decides, and the one place that decides explains."""
    try:
        taken = reserve(order.tenant, order.limits, _used(order.limits, answer, wall), order.demand, wall)
    except LimitReached as reached:
        assert answer[0] != _TAKEN
        return reached
    assert answer[0] == _TAKEN
    return taken


def _used(limits: tuple[KeyLimit, ...], answer: Any, wall: float) -> dict[Period, Amounts]:
    windows = windows_of(limits, wall)
    return {period: Amounts(*used) for (period, _), used in zip(windows, answer[1], strict=True)}


def _amounts(amounts: Amounts) -> tuple[int, int, int]:
    return amounts.requests, amounts.tokens, amounts.usd


def _add(changes: _Changes, window: Window, amounts: Amounts) -> None:
    changes[window] = changes.get(window, NOTHING).plus(amounts)
