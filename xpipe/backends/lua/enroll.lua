-- ARGV: 3 a pump, 4 when its leases end, 5 its record.

local pump = ARGV[3]
call('HSET', PUMPS, pump, ARGV[5])
call('HSET', LEASES, pump, ARGV[4])
call('SADD', LISTENING, pump)
return 1
