-- ARGV: 3 a conversation, 4 its new owner ('' for the same), 5 how many outputs have been printed. Whether it runs.

local name = key('conversation', ARGV[3])
local data = call('GET', name)
if not data then return 0 end
local one = conversation_of_data(data)
local runs = one.ended == 0
if ARGV[4] ~= '' and runs then one.owner = ARGV[4] end
one.delivered = math.max(one.delivered, tonumber(ARGV[5]))
call('SET', name, conversation_data(one))
expire(name)
return runs and 1 or 0
