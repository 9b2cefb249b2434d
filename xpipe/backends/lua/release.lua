-- ARGV: 3 slots per thread, 4 pump, 5 whether its leases are lost (1) or handed back (0). How many messages.

local pump = ARGV[4]
local released = release(pump, tonumber(ARGV[5]))
flush(pump)
for _, kind in ipairs({'claimed', 'inbox', 'reply', 'wake'}) do call('UNLINK', key(kind, pump)) end
call('HDEL', PUMPS, pump)
call('HDEL', LEASES, pump)
call('SREM', LISTENING, pump)
return released
