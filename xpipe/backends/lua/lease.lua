-- ARGV: 3 to 6 see calls.lua, 7 in how many seconds the leases of the pump end. Whether it is known.

if call('HEXISTS', PUMPS, pump) == 0 then return 0 end
call('HSET', LEASES, pump, exact(server_now() + ARGV[7]))
call('EXPIRE', mark, MARKED)
if ttl > 0 then call('EXPIRE', key('reply', pump), DAY) end
return 1
