-- ARGV: 3 a conversation, 4 the index of a hop, 5 what was found there, 6 what takes its place, 7 the fault and 8 the
-- time of its dead letter. Whether it was still there.

local id, index, found = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local name = key('hops', id)

if read('LINDEX', name, index) ~= found then return 0 end
write('LSET', name, index, ARGV[6])
bury(found, ARGV[7], true, id, 0, tonumber(ARGV[8]))
flush('')
return 1
