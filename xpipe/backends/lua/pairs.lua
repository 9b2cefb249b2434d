-- The two halves of what the registry keeps: uuid:{id} and chain:{chain}.

local function halves(id, chain)
  return call('GET', key('uuid', id)) == chain, call('GET', key('chain', chain)) == id
end

-- A half that is another's stays so.
local function mend_pair(id, chain)
  call('SET', key('uuid', id), chain, 'NX')
  call('SET', key('chain', chain), id, 'NX')
  expire(key('uuid', id))
  expire(key('chain', chain))
end
