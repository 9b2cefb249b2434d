-- ARGV: 3 to 6 see calls.lua, 7 a conversation, 8 its owner. What is known of it once the pump owns it; nothing if it
-- is unknown or another's.

local id = ARGV[7]
local name = key('conversation', id)
local one = stored(name, conversation_of_data)
if not one then return {} end
if not is_again then
  if one.owner ~= ARGV[8] then return {} end
  one.owner = pump
  call('SET', name, conversation_data(one))
  expire(name)
  call('SET', mark, number, 'EX', MARKED)
end
return {1, conversation_row(id)}
