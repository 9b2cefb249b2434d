-- ARGV: 3 to 6 see calls.lua, 7... dead letters that go. How many there were.

local answer = key('answer', ARGV[4] .. ':' .. pump)
if is_again then return {1, tonumber(call('GET', answer) or 0)} end

require_type('hash', DEAD)
require_type('zset', DEAD_TIMES)

local gone = call('HDEL', DEAD, unpack(ARGV, 7))
call('ZREM', DEAD_TIMES, unpack(ARGV, 7))
call('SET', answer, gone, 'EX', MARKED)
call('SET', mark, number, 'EX', MARKED)
return {1, gone}
