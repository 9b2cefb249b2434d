-- Posts a letter to a conversation; its number, -1 if it is over or unknown.
local call, p, id = redis.call, ARGV[1], ARGV[2]
local there = call('HMGET', p .. 'c:' .. id, '@place', '@home', '@read')
if not there[1] or there[1] == 'over' then return -1 end
local length = call('RPUSH', p .. 'mail:' .. id, ARGV[3])
if there[1] == 'due' then
  call('ZREM', p .. 'due', id)
  call('HSET', p .. 'c:' .. id, '@place', 'queue')
  call('RPUSH', p .. 'queue', id)
elseif there[2] ~= '' and call('HEXISTS', p .. 'organism', 'node:' .. there[2]) == 1 then
  call('SADD', p .. 'bell:' .. there[2], id)
end
for _, node in ipairs(call('HKEYS', p .. 'nodes')) do
  call('LPUSH', p .. 'wake:' .. node, '')
  call('LTRIM', p .. 'wake:' .. node, 0, 0)
  call('PEXPIRE', p .. 'wake:' .. node, 60000)
end
return tonumber(there[3] or 0) + length
