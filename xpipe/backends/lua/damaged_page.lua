-- ARGV: 3 conversations or threads, 4 where the page begins, 5 rows. Where the next page begins, and of each
-- damaged record the key, the id, the conversation ('' if that is not known), and what is stored there.

local rows = {}

local function look(kind, id, conversation_of)
  local data = damaged(kind, id)
  if data then rows[#rows + 1] = {key(kind, id), id, conversation_of(id), data} end
end

-- That of its initiator, whose chain has one segment more than the root.
local function conversation_of_chain(id)
  local root, chain = call('HGET', KEYS[1], 'root'), call('HGET', REGISTRY, id)
  local initiator = chain and string.match(string.sub(chain, #root + 2), '^[^.]+')
  return initiator and call('GET', key('chain', root .. '.' .. initiator)) or ''
end

local function itself(id) return id end

local visits = {}

function visits.conversations(id)
  look('conversation', id, itself)
  look('hops', id, itself)
end

function visits.threads(id)
  for _, kind in ipairs(OF_THREAD) do look(kind, id, conversation_of_chain) end
end

local ids, after = page_of(prefix .. ARGV[3], ARGV[4], ARGV[5])
for _, id in ipairs(ids) do visits[ARGV[3]](id) end
return {after, rows}
