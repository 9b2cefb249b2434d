-- ARGV: 3 an index, or the kind of a key of its own, 4 the id of a damaged entry, 5 what was found there, 6 the fault and
-- 7 the time of the dead letter that keeps it. Whether it was still there.

require_type('hash', COUNTERS, REGISTRY, BOUND)

local kind, id, found, now = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[7])
local name = prefix .. kind

-- What is not kept under its id in an index: its key.
local KEYS_OF = {
  inbox = function() return key('inbox', id) end,
  uuid = function() return key('uuid', id) end,
  chain = function() return key('chain', chain_of(id) or call('HGET', REGISTRY, id) or '') end,
}
local REMOVALS = {hash = 'HDEL', zset = 'ZREM', set = 'SREM'}

local function is_there(type)
  if type == 'hash' then return read('HGET', name, id) == found end
  if type == 'zset' then return read('ZSCORE', name, id) end
  return type == 'list' or type == 'set' and read('SISMEMBER', name, id) == 1
end

-- A dead letter needs a number now.
local function highest_letter()
  local highest = 0
  for _, number in ipairs(call('HKEYS', DEAD)) do highest = math.max(highest, tonumber(number) or 0) end
  return highest
end

local function remove_entry()
  local type = call('TYPE', name).ok
  if not is_there(type) then return false end
  if kind == 'counters' and id == 'dead' then return call('HSET', name, id, highest_letter()) end
  if type == 'list' then write('LREM', name, 0, id) else write(REMOVALS[type], name, id) end
  if kind == 'dead' then write('ZREM', DEAD_TIMES, id) end
  return true
end

local function remove_key()
  name = KEYS_OF[kind]()
  if content(name) ~= found then return false end
  write('UNLINK', name)
  return true
end

-- Of the initiators that are known.
local function highest_initiator()
  local head, highest = call('HGET', KEYS[1], 'root') .. '.' .. id .. '-', 0
  for _, chain in ipairs(call('HVALS', REGISTRY)) do
    local number = string.sub(chain, 1, #head) == head and string.match(chain, '^%d+', #head + 1)
    highest = math.max(highest, tonumber(number or 0))
  end
  return highest
end

if not (KEYS_OF[kind] and remove_key or remove_entry)() then return 0 end
if kind == 'numbers' and is_text(id) then write('HSET', name, id, highest_initiator()) end
bury(found, ARGV[6], true, '', 0, now)
flush('')
local chain = chain_of(id)
if kind == 'registry' then
  mend(id)
elseif kind == 'bound' then
  chain = call('HGET', REGISTRY, id)
  if chain and is_text(id) and is_text(chain) and not exists('thread', id) then call('HSET', BOUND, id, chain) end
elseif chain and (kind == 'uuid' or kind == 'chain') then
  call('SET', name, kind == 'uuid' and chain or id)
  expire(name)
end
return 1
