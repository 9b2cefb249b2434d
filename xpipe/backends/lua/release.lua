-- ARGV: 3 pump, 4 whether its leases are lost (1) or handed back (0), 5 the process that calls. How many messages.

local function release(pump, lost)
  local ids = read('ZRANGE', key('claimed', pump), 0, -1)
  local released = 0
  for _, id in ipairs(ids) do
    local t = thread(id)
    if t and t.owner == pump then
      own(t, '')
      set(t, 'deliveries', t.deliveries + lost)
      make_ready(t, true)
      released = released + 1
    end
  end
  return released
end

local pump = ARGV[3]
local released = release(pump, tonumber(ARGV[4]))
for _, kind in ipairs({'claimed', 'inbox', 'reply', 'wake'}) do write('UNLINK', key(kind, pump)) end
if ARGV[4] == '0' then write('UNLINK', key('call', ARGV[5] .. ':' .. pump)) end
write('HDEL', PUMPS, pump)
write('HDEL', LEASES, pump)
write('SREM', LISTENING, pump)
flush(pump)
return released
