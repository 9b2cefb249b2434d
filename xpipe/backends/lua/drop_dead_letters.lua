-- ARGV: 3 a time, 4 rows. Up to so many dead letters given up before go; how many.

require_type('hash', DEAD)

local numbers = call('ZRANGEBYSCORE', DEAD_TIMES, '-inf', '(' .. ARGV[3], 'LIMIT', 0, ARGV[4])
if #numbers > 0 then
  call('HDEL', DEAD, unpack(numbers))
  call('ZREM', DEAD_TIMES, unpack(numbers))
end
return #numbers
