-- ARGV: 3 a conversation, 4 how many threads at most. -1: it runs or is unknown; 1: it is gone; 0: some of it is left.

local id = ARGV[3]
local one = stored(key('conversation', id), conversation_of_data)
if one and one.ended == 0 then return -1 end
-- A conversation whose record has expired is known by the indexes.
if not one and not call('ZSCORE', CONVERSATIONS, id) then return -1 end
local _, is_gone = forget(id, tonumber(ARGV[4]))
return is_gone and 1 or 0
