-- ARGV: 3 pump, 4 whether its leases are lost (1) or handed back (0), 5 the process that calls. How many messages.

local pump = ARGV[3]
local released = release(pump, tonumber(ARGV[4]))
flush(pump)
for _, kind in ipairs({'claimed', 'inbox', 'reply', 'wake'}) do call('UNLINK', key(kind, pump)) end
if ARGV[4] == '0' then call('UNLINK', key('call', ARGV[5] .. ':' .. pump)) end
call('HDEL', PUMPS, pump)
call('HDEL', LEASES, pump)
call('SREM', LISTENING, pump)
return released
