-- ARGV: 3 the root's chain or '' for whatever is there, 4 a secret and 5 the root's id for a new organism.
-- What is there then: root, secret, root's id, layout; nothing if there is nothing.

local LAYOUT = 1
local found = call('HMGET', KEYS[1], 'root', 'root_id', 'layout')
if not found[1] then
  if ARGV[3] == '' then return {} end
  call('SET', prefix .. 'secret', ARGV[4])
  call('HSET', KEYS[1], 'root', ARGV[3], 'root_id', ARGV[5], 'layout', LAYOUT)
  found = {ARGV[3], ARGV[5], LAYOUT}
end
if ARGV[3] == '' or ARGV[3] == found[1] then
  call('SET', key('chain', found[1]), found[2])
  call('SET', key('uuid', found[2]), found[1])
  expire(key('chain', found[1]))
  expire(key('uuid', found[2]))
end
return {found[1], call('GET', prefix .. 'secret') or '', found[2], tonumber(found[3])}
