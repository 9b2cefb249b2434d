-- What is counted, by what is there. All in one call, because nothing may change meanwhile.

require_type('hash', COUNTERS, LOOSE, SIZES, FLIGHTS)

-- The threads of which a message is ready, claimed or delayed.
local function busy_threads()
  local busy, pumps = {}, {}
  local function add(ids)
    for _, id in ipairs(ids) do busy[id] = true end
  end
  for _, listener in ipairs(call('LRANGE', LANES, 0, -1)) do add(call('LRANGE', key('ready', listener), 0, -1)) end
  for _, pump in ipairs(call('HKEYS', PUMPS)) do pumps[pump] = true end
  for _, pump in ipairs(call('SMEMBERS', LISTENING)) do pumps[pump] = true end
  for pump in pairs(pumps) do add(call('HKEYS', key('claimed', pump))) end
  add(call('ZRANGE', DELAYED, 0, -1))
  return busy
end

local busy, slots, in_flight = busy_threads(), 0, 0
local sizes, flights = {}, {}

local function add(list, field, number)
  if number == 0 then return end
  list[#list + 1] = field
  list[#list + 1] = number
end

local function count_conversation(id)
  local size, flying = 0, 0
  for _, thread in ipairs(call('LRANGE', key('members', id), 0, -1)) do
    size = size + length_of(key('buffer', thread))
    flying = flying + length_of(key('mailbox', thread)) + (busy[thread] and 1 or 0)
  end
  add(sizes, id, size)
  add(flights, id, flying)
  slots, in_flight = slots + size, in_flight + flying
end

local function last_number()
  local last = 0
  for _, index in ipairs({THREADS, CONVERSATIONS}) do
    local found = call('ZREVRANGEBYSCORE', index, 2 ^ 53, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
    last = math.max(last, math.floor(tonumber(found[2] or 0)))
  end
  return last
end

local function write_all(name, values)
  call('UNLINK', name)
  each_page(values, function(...) call('HSET', name, ...) end)
end

for _, id in ipairs(call('ZRANGE', CONVERSATIONS, 0, -1)) do count_conversation(id) end
local loose = {}
for _, id in ipairs(call('HKEYS', LOOSE)) do
  add(loose, id, length_of(key('buffer', id)))
  slots = slots + length_of(key('buffer', id))
end
local last = last_number()
call('HSET', COUNTERS, 'in_flight', in_flight, 'slots', slots)
call('HSETNX', COUNTERS, 'seq', string.format('%d', last))
write_all(LOOSE, loose)
if ttl > 0 then
  write_all(SIZES, sizes)
  write_all(FLIGHTS, flights)
end
return 1
