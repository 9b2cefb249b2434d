-- ARGV: 3 a conversation, 4 how many threads at most. -1: it runs or is unknown; 1: it is gone; 0: some of it is left.
-- Its newest threads go first, so that what is left of it can still be told from the outside.

local id = ARGV[3]
local conversation, members = key('conversation', id), key('members', id)
local data = call('GET', conversation)
if data and conversation_of_data(data).ended == 0 then return -1 end
-- A conversation whose record has expired is known by the indexes.
if not data and not call('ZSCORE', CONVERSATIONS, id) then return -1 end

local function drop(thread)
  local slots = call('LLEN', key('buffer', thread))
  count('slots', -slots)
  if ttl > 0 then call('HINCRBY', SIZES, id, -slots) end
  unbind(thread)
  for _, kind in ipairs({'thread', 'buffer', 'mailbox', 'open', 'join', 'results'}) do
    call('UNLINK', key(kind, thread))
  end
  call('ZREM', THREADS, thread)
end

for _, thread in ipairs(call('LRANGE', members, -tonumber(ARGV[4]), -1)) do drop(thread) end
call('LTRIM', members, 0, -tonumber(ARGV[4]) - 1)
if call('LLEN', members) > 0 then return 0 end

for _, index in ipairs({CONVERSATIONS, RUNNING, FINISHED}) do call('ZREM', index, id) end
call('UNLINK', conversation)
if ttl > 0 then
  -- What expired before it could be counted.
  count('slots', -tonumber(call('HGET', SIZES, id) or 0))
  count('in_flight', -tonumber(call('HGET', FLIGHTS, id) or 0))
  call('HDEL', SIZES, id)
  call('HDEL', FLIGHTS, id)
end
return 1
