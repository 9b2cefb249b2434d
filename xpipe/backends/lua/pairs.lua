-- The two halves of what the registry keeps: uuid:{id} and chain:{chain}.

-- UTF-8, with surrogates too.
local WELL_FORMED = {
  '\240[\144-\191][\128-\191][\128-\191]', '[\241-\243][\128-\191][\128-\191][\128-\191]',
  '\244[\128-\143][\128-\191][\128-\191]', '\224[\160-\191][\128-\191]', '[\225-\239][\128-\191][\128-\191]',
  '[\194-\223][\128-\191]',
}

local function is_text(data)
  if not string.find(data, '[\128-\255]') then return true end
  for _, pattern in ipairs(WELL_FORMED) do data = string.gsub(data, pattern, ' ') end
  return not string.find(data, '[\128-\255]')
end

local function halves(id, chain)
  return redis.pcall('GET', key('uuid', id)) == chain, redis.pcall('GET', key('chain', chain)) == id
end

-- A half that is another's stays so.
local function mend_pair(id, chain)
  call('SET', key('uuid', id), chain)
  if not is_anothers(id, chain) then call('SET', key('chain', chain), id) end
  expire(key('uuid', id))
  expire(key('chain', chain))
end

-- The chain of the root, a thread, or a binding; nothing if `id` is none of them, or its record is damaged.
local function chain_of(id)
  if id == root_id then return call('HGET', KEYS[1], 'root') end
  local fine, t = pcall(stored, key('thread', id), thread_of)
  local chain = not fine and call('HGET', REGISTRY, id) or t and fine and t.chain or call('HGET', BOUND, id)
  return chain and is_text(chain) and chain or nil
end

-- What the registry keeps of `id` is made whole, or goes.
local function mend(id)
  local chain = chain_of(id)
  if not chain then return unbind(id) end
  if id ~= root_id then call('HSET', REGISTRY, id, chain) end
  mend_pair(id, chain)
end

return halves, mend_pair, is_text, chain_of, mend
