-- Removing conversations that are over, in small bites. Each bite checks first and then cannot fail.

require_type('hash', COUNTERS, REGISTRY, BOUND, SIZES, FLIGHTS)
require_counters()
require_type('zset', THREADS, CONVERSATIONS, RUNNING, FINISHED, SETTLED, DELAYED)

local OF_THREADS = {'thread', 'buffer', 'mailbox', 'open', 'join', 'results', 'uuid'}
local AT_ONCE = 100  -- threads in one command

local function drop(...)
  local chains, names = call('HMGET', REGISTRY, ...), {}
  for at, id in ipairs({...}) do
    for _, kind in ipairs(OF_THREADS) do names[#names + 1] = key(kind, id) end
    local chain = chains[at]
    if chain and not is_anothers(id, chain) then names[#names + 1] = key('chain', chain) end
  end
  call('UNLINK', unpack(names))
  for _, index in ipairs({BOUND, REGISTRY}) do call('HDEL', index, ...) end
  for _, index in ipairs({THREADS, DELAYED}) do call('ZREM', index, ...) end
end

local function drop_all(ids)
  for first = 1, #ids, AT_ONCE do drop(unpack(ids, first, math.min(first + AT_ONCE - 1, #ids))) end
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
  drop_all(ids)
  count('slots', -slots)
  if ttl > 0 and slots > 0 then call('HINCRBY', SIZES, id, -slots) end
  call('LTRIM', members, 0, -most - 1)
  if call('LLEN', members) > 0 then return #ids, false end
  drop_conversation(id)
  return #ids, true
end

return drop_all, drop_conversation, forget
