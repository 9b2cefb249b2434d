-- ARGV: 3 enroll or renew, 4 the pump, 5 when its leases end, 6 its record. Whether it is known.

local pump = ARGV[4]
if ARGV[3] == 'enroll' then
  call('HSET', PUMPS, pump, ARGV[6])
  call('SADD', LISTENING, pump)
elseif call('HEXISTS', PUMPS, pump) == 0 then
  return 0
end
call('HSET', LEASES, pump, ARGV[5])
return 1
