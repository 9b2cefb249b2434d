-- Forgets a node: how many offers it held; -1 if it is not registered.
local call, p, node = redis.call, ARGV[1], ARGV[2]
if call('HDEL', p .. 'organism', 'node:' .. node, 'refused:' .. node) == 0 then return -1 end
call('HDEL', p .. 'nodes', node)
call('HDEL', p .. 'wanted', node)
local held = call('SMEMBERS', p .. 'held:' .. node)
for _, key in ipairs(held) do
  local offer = call('HGET', p .. 'offers', key)
  if offer and call('HGET', p .. 'holders', key) == node then
    local listener = call('HGET', p .. 'lanes', key)
    call('HDEL', p .. 'holders', key)
    call('HINCRBY', p .. 'losses', key, ARGV[3])
    call('LPUSH', p .. 'free:' .. listener, key)
    call('HINCRBY', p .. 'offered', listener, 1)
  end
end
call('DEL', p .. 'held:' .. node, p .. 'bell:' .. node, p .. 'news:' .. node, p .. 'revoked:' .. node)
if call('EXISTS', p .. 'at:' .. node) == 1 then call('SADD', p .. 'graves', node) end
for _, other in ipairs(call('HKEYS', p .. 'nodes')) do
  call('LPUSH', p .. 'wake:' .. other, '')
  call('LTRIM', p .. 'wake:' .. other, 0, 0)
  call('PEXPIRE', p .. 'wake:' .. other, 60000)
end
return #held
