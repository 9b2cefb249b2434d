-- ARGV: 3 a conversation that runs, 4 where the page of its threads begins, 5 rows. Where the next page begins, -1 for
-- nowhere. With 3 '' the root pair.

local function renew(id)
  for _, kind in ipairs({'thread', 'buffer', 'mailbox', 'open', 'join', 'results', 'uuid'}) do expire(key(kind, id)) end
  local chain = call('HGET', REGISTRY, id)
  if chain then expire(key('chain', chain)) end
end

local id, first, rows = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if id == '' then
  if root_id ~= '' then mend_pair(root_id, call('HGET', KEYS[1], 'root')) end
  return -1
end
expire(key('conversation', id))
expire(key('members', id))
expire(key('hops', id))
local ids = call('LRANGE', key('members', id), first, first + rows - 1)
for _, thread in ipairs(ids) do renew(thread) end
return #ids < rows and -1 or first + rows
