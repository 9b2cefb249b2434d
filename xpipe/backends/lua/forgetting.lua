-- Removing conversations that are over, in small bites. Each bite checks first and then cannot fail.

require_type('hash', COUNTERS, REGISTRY, BOUND, SIZES, FLIGHTS)
require_counters()
require_type('zset', THREADS, CONVERSATIONS, RUNNING, FINISHED, SETTLED, DELAYED)

local function drop(id)
  unbind(id)
  for _, kind in ipairs({'thread', 'buffer', 'mailbox', 'open', 'join', 'results'}) do call('UNLINK', key(kind, id)) end
  call('ZREM', THREADS, id)
  call('ZREM', DELAYED, id)
end

local function slots_of(ids)
  local slots = 0
  for _, id in ipairs(ids) do slots = slots + call('LLEN', key('buffer', id)) end
  return slots
end

-- What expired before it could be counted.
local function settle_counts(id)
  if ttl == 0 then return end
  count('slots', -number_in(SIZES, id))
  count('in_flight', -number_in(FLIGHTS, id))
  call('HDEL', SIZES, id)
  call('HDEL', FLIGHTS, id)
end

-- The rest of a conversation whose threads are gone.
local function drop_conversation(id)
  for _, index in ipairs({CONVERSATIONS, RUNNING, FINISHED, SETTLED}) do call('ZREM', index, id) end
  call('UNLINK', key('conversation', id), key('hops', id))
  settle_counts(id)
end

-- Up to `most` threads go, the newest first, so that what is left of the conversation can still be told from the
-- outside; after the last one the rest. How many went, and whether nothing is left.
local function forget(id, most)
  local members = key('members', id)
  local ids = call('LRANGE', members, -most, -1)
  local slots = slots_of(ids)
  for _, index in ipairs({SIZES, FLIGHTS}) do number_in(index, id) end
  for _, thread in ipairs(ids) do drop(thread) end
  count('slots', -slots)
  if ttl > 0 and slots > 0 then call('HINCRBY', SIZES, id, -slots) end
  call('LTRIM', members, 0, -most - 1)
  if call('LLEN', members) > 0 then return #ids, false end
  drop_conversation(id)
  return #ids, true
end

return drop, drop_conversation, forget
