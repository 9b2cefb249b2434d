-- ARGV: 3 pump, 4 whether its leases are lost (1) or handed back (0), 5 the process that calls. How many messages.

local function release(pump, lost)
  local ids, claimed = read('HKEYS', key('claimed', pump)), {}
  for _, id in ipairs(ids) do
    local t = thread(id)
    if t and t.head ~= -1 then claimed[#claimed + 1] = t end
  end
  table.sort(claimed, function(one, other) return one.seq < other.seq end)
  for _, t in ipairs(claimed) do
    end_claim(pump, t)
    t.deliveries = t.deliveries + lost
    make_ready(t, true)
  end
  return #claimed
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
