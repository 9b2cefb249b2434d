-- Collections: what the registries of xpipe.state keep. ARGV: 3 create, get, add, remove or list, 4 the kind, 5 the id;
-- create: 6 the head, 7 the size; add: 6 the index, 7 the part; list: 5 a cursor, 6 rows. get: the fields, of which ''
-- is the head, and 'size' how many others there may be; list: where the next page begins ('0' for nowhere), and the ids.

local verb, id = ARGV[3], ARGV[5]
local index = key('collections', ARGV[4])
local name = key('collection', ARGV[4] .. ':' .. id)
local verbs = {}

require_type('set', index)
if verb ~= 'list' then require_type('hash', name) end

-- The index lives as long as what is in it.
local function keep()
  expire(name)
  expire(index)
  return 1
end

function verbs.create()
  if call('EXISTS', name) == 1 then return 0 end
  call('HSET', name, '', ARGV[6], 'size', ARGV[7])
  call('SADD', index, id)
  return keep()
end

function verbs.get()
  return call('HGETALL', name)
end

function verbs.add()
  local wanted, size = tonumber(ARGV[6]), number_in(name, 'size')
  if wanted < 0 or wanted >= size or call('HSETNX', name, ARGV[6], ARGV[7]) == 0 then return 0 end
  return keep()
end

function verbs.remove()
  call('SREM', index, id)
  return call('UNLINK', name)
end

function verbs.list()
  local scanned, ids = call('SSCAN', index, id, 'COUNT', ARGV[6]), {}
  for _, one in ipairs(scanned[2]) do
    if exists('collection', ARGV[4] .. ':' .. one) then ids[#ids + 1] = one else call('SREM', index, one) end
  end
  return {scanned[1], ids}
end

return verbs[verb]()
