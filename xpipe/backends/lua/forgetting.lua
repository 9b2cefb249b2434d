-- Removing conversations that are over, in small bites.

local function drop(id)
  local slots = call('LLEN', key('buffer', id))
  unbind(id)
  for _, kind in ipairs({'thread', 'buffer', 'mailbox', 'open', 'join', 'results'}) do call('UNLINK', key(kind, id)) end
  call('ZREM', THREADS, id)
  return slots
end

-- What expired before it could be counted.
local function settle_counts(id)
  if ttl == 0 then return end
  count('slots', -tonumber(call('HGET', SIZES, id) or 0))
  count('in_flight', -tonumber(call('HGET', FLIGHTS, id) or 0))
  call('HDEL', SIZES, id)
  call('HDEL', FLIGHTS, id)
end

-- Up to `most` threads go, the newest first, so that what is left of the conversation can still be told from the
-- outside; after the last one the rest. How many went, and whether nothing is left.
local function forget(id, most)
  local members, slots = key('members', id), 0
  local ids = call('LRANGE', members, -most, -1)
  for _, thread in ipairs(ids) do slots = slots + drop(thread) end
  count('slots', -slots)
  if ttl > 0 and slots > 0 then call('HINCRBY', SIZES, id, -slots) end
  call('LTRIM', members, 0, -most - 1)
  if call('LLEN', members) > 0 then return #ids, false end
  for _, index in ipairs({CONVERSATIONS, RUNNING, FINISHED, SETTLED}) do call('ZREM', index, id) end
  call('UNLINK', key('conversation', id))
  settle_counts(id)
  return #ids, true
end
