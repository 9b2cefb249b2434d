-- ARGV: 3 a conversation. Of each damaged record in it the key, the id, and what is stored there.

local rows = {}

local function look(kind, id)
  local data = damaged(kind, id)
  if data then rows[#rows + 1] = {key(kind, id), id, data} end
end

look('conversation', ARGV[3])
look('hops', ARGV[3])
for _, id in ipairs(call('LRANGE', key('members', ARGV[3]), 0, -1)) do
  for _, kind in ipairs(OF_THREAD) do look(kind, id) end
end
return rows
