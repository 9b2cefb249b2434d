-- ARGV: 3 slots per thread, 4 a thread, known or not, 5 a slot. Its index, or -1 when the thread is full.

require_type('hash', COUNTERS, LOOSE, SIZES)
require_counters()

local id, data = ARGV[4], ARGV[5]
local buffer, thread = key('buffer', id), key('thread', id)
local slots = call('LLEN', buffer)
if slots >= tonumber(ARGV[3]) then return -1 - slots end
local t = stored(thread, thread_of)
if t then
  number_in(SIZES, t.conversation)
  t.bytes = t.bytes + #data
  store(thread, thread_data(t))
  if ttl > 0 then call('HINCRBY', SIZES, t.conversation, 1) end
else
  number_in(LOOSE, id)
  call('HINCRBY', LOOSE, id, 1)
end
count('slots', 1)
call('RPUSH', buffer, data)
expire(buffer)
return slots
