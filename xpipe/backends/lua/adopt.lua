-- ARGV: 3 to 6 see calls.lua, 7 a conversation, 8 its owner. What is known of it once the pump owns it; nothing if it
-- is unknown or another's.

local id = ARGV[7]
local name = key('conversation', id)
local one = stored(name, conversation_of_data)
if not one then return {} end
if not is_again and one.owner ~= ARGV[8] then return {} end
if not is_again then one.owner = pump end
local row = row_of_conversation(id, one)
if not is_again then
  call('SET', name, conversation_data(one))
  expire(name)
  call('SET', mark, number, 'EX', MARKED)
end
return {1, row}
