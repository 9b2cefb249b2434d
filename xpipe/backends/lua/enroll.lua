-- ARGV: 3 a pump, 4 in how many seconds its leases end, 5 its record.

require_type('hash', PUMPS, LEASES)
require_type('set', LISTENING)

local pump = ARGV[3]
call('HSET', PUMPS, pump, ARGV[5])
call('HSET', LEASES, pump, exact(server_now() + ARGV[4]))
call('SADD', LISTENING, pump)
return 1
