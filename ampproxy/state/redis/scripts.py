"""What Redis does by itself, in one step each (https://redis.io/docs/latest/develop/programmability/eval-intro/).

An entry is a field of its kind's hash: ``AT UNTIL `` in milliseconds of Redis's clock, then ``v`` and the
value, or ``t`` for a tombstone. A sorted set beside the hash has the ends, so that what is over goes, and of
too many what ends first.
"""

from __future__ import annotations

from typing import Final

#: The functions of both scripts that write entries. KEYS: the hash, the ends. ARGV: the field, ``v`` or
#: ``t`` with the value, milliseconds that it is worth something, milliseconds since it was learned, the most
#: entries, the channel, the message; then 1 where entries are exchanged.
_ENTRIES: Final = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function kept(at)
  local text = redis.call('HGET', KEYS[1], ARGV[1])
  if not text then return nil end
  local first = string.find(text, ' ', 1, true)
  local second = string.find(text, ' ', first + 1, true)
  local found = {
    at = tonumber(string.sub(text, 1, first - 1)),
    ends = tonumber(string.sub(text, first + 1, second - 1)),
    value = string.sub(text, second + 1),
  }
  if found.ends <= at then return nil end
  return found
end
local function drop(fields)
  if #fields > 0 then
    redis.call('HDEL', KEYS[1], unpack(fields))
    redis.call('ZREM', KEYS[2], unpack(fields))
  end
end
local function prolong(at)
  local left = ARGV[3] + 60000
  for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < left then redis.call('PEXPIRE', key, left) end
  end
end
local function write(value, learned, ends, at)
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f ', learned, ends) .. value)
  redis.call('ZADD', KEYS[2], ends, ARGV[1])
  drop(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', at, 'LIMIT', 0, 20))
  local over = redis.call('ZCARD', KEYS[2]) - ARGV[5]
  if over > 0 then drop(redis.call('ZRANGE', KEYS[2], 0, math.min(over, 20) - 1)) end
  prolong(at)
end
"""

#: Keeps an entry and sends it to all; in an exchange, unless something younger is there. Gives 1 if it was
#: sent.
PUT: Final = (
    _ENTRIES
    + """
local at = now()
local learned, ends = at - ARGV[4], at + ARGV[3]
if ARGV[8] == '1' then
  local old = kept(at)
  if old and old.value == ARGV[2] then
    if ends > old.ends then write(old.value, old.at, ends, at) end
    return 0
  end
  if old and old.at > learned then return 0 end
end
write(ARGV[2], learned, ends, at)
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
"""
)

#: Keeps an entry and sends it to all unless there is one. Gives the value that counts.
CLAIM: Final = (
    _ENTRIES
    + """
local at = now()
local old, ends = kept(at), at + ARGV[3]
if old and string.sub(old.value, 1, 1) == 'v' then
  if ends > old.ends then write(old.value, old.at, ends, at) end
  return string.sub(old.value, 2)
end
write(ARGV[2], at, ends, at)
redis.call('PUBLISH', ARGV[6], ARGV[7])
return string.sub(ARGV[2], 2)
"""
)

#: Holds a lock. The number is a time where that is higher, so that a Redis that forgot gives no lower one.
#: KEYS: the lock, the number of the last holder. ARGV: milliseconds, what this attempt is known by, what an
#: earlier one of the same process is known by of which no answer came. Gives the number, or nothing.
LOCK: Final = """
local held = redis.call('GET', KEYS[1])
if held and (ARGV[3] == '' or string.match(held, ' (.*)') ~= ARGV[3]) then return nil end
local time = redis.call('TIME')
local number = time[1] * 1000 + math.floor(time[2] / 1000)
number = string.format('%.0f', math.max(number, (redis.call('GET', KEYS[2]) or 0) + 1))
redis.call('SET', KEYS[2], number, 'PX', ARGV[1] + 86400000)
redis.call('SET', KEYS[1], number .. ' ' .. ARGV[2], 'PX', ARGV[1])
return tonumber(number)
"""

#: Lets go of a lock. KEYS: the lock. ARGV: the holder's number.
UNLOCK: Final = """
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '(.*) ') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
