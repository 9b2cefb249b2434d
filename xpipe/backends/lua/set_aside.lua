-- ARGV: 3 a thread, 4 the index of a slot, 5 what was found there, 6 what takes its place, 7 the fault and 8 the time
-- of its dead letter. Whether it was still there and waited for nobody.

local id, index, found, instead = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local t, buffer = thread(id), key('buffer', id)

local function waits()
  if t.head == index then return true end
  for _, parked_at in ipairs(t.parked > 0 and read('LRANGE', key('mailbox', id), 0, -1) or {}) do
    if tonumber(parked_at) == index then return true end
  end
  return false
end

if not t or read('LINDEX', buffer, index) ~= found or waits() then return 0 end
set(t, 'bytes', t.bytes + #instead - #found)
write('LSET', buffer, index, instead)
bury(found, ARGV[7], true, id, 0, tonumber(ARGV[8]))
flush('')
return 1
