-- Where things are. Every script begins with this part. What a part returns, the parts after it and the script use by
-- the same names (redis_scripts.py).
--
-- Read by others: buffer:{thread} list of slots, chain:{chain} id, uuid:{id} chain.
-- Of a thread: thread:{id} its record (layout.lua), mailbox:{id} list of its parked slots, open:{id} hash of its open
--   calls if they are many, join:{id} record and results:{id} hash by index of its Buffer.
-- Of a conversation: conversation:{id} its record, members:{id} list of its threads, hops:{id} list of what became of
--   its messages (HopRecord).
-- Of the registries of xpipe.state, which no organism looks at: collection:{kind}:{id} hash of a head ('') and of parts
--   by index, collections:{kind} set of ids.
-- Of a pump, until it is retired or buried: reply:{pump} hash of its last answer, wake:{pump} one token or none.
-- These expire if there is a TTL. Always: `upkeep`, call:{process}:{pump}, the number of the last call of a process for
--   a pump that changed something, and answer:{process}:{pump}, its answer if that cannot be told otherwise. What comes
--   now never does:
--
-- organism, secret, numbers (of initiators), counters, cursors (of sources, by name).
-- Dead letters: `dead` hash by number, `dead_times` set of numbers by the time they were given up.
-- Of a pump, until it is retired or buried: inbox:{pump} list of events, five values each; claimed:{pump} hash of
--   the fences of its claims by thread. Hashes: pumps, leases (when they end by the clock of the server). A plain set:
--   listening (who is told of work).
-- Of a listener with work: ready:{listener} list of threads; `lanes` lists these listeners as they are served next.
-- `delayed`: set of the threads that are to be ready later, by the time they are due.
-- Indexes of what may expire. Sets by age: threads, conversations, running; by time: finished, settled (those of which
--   all outputs are delivered), expiries of joins. Hashes: registry (id to chain of threads and bindings), bound (id to
--   chain of bindings from outside), joins (id to thread), loose (number of slots of ids that are no thread); with a TTL
--   also sizes and flights (slots and messages in flight by conversation).
--
-- KEYS[1] is `{prefix}organism`, which also tells a cluster the slot of all the others.
-- ARGV: 1 the root's id, 2 the TTL in seconds (0: none), 3... what the script is called with.

-- An error of Redis does not say which key is of the wrong type.
local function fail(told, name)
  error(string.find(told, 'WRONGTYPE', 1, true) and 'WRONGTYPE <' .. name .. '>' or told, 0)
end

local function call(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then fail(answer.err, (select(2, ...))) end
  return answer
end

local prefix = string.sub(KEYS[1], 1, -9)
local root_id, ttl, lifetime = ARGV[1], tonumber(ARGV[2]), nil

-- A commit gives the keys of a thread their whole life again if it is the first one to touch the thread in a twentieth
-- of the TTL. They get as much to spare, so that they live for the TTL after the last one. In milliseconds.
local SPARE = ttl / 20

local function keep_for(seconds)
  ttl, lifetime = seconds, string.format('%d', seconds * 1050)
end

keep_for(ttl)

local PAGE = 1000  -- values in one command: Lua's stack is bounded
local DAY = 86400

local heads = setmetatable({}, {__index = function(known, kind)
  known[kind] = prefix .. kind .. ':'
  return known[kind]
end})

local function key(kind, id)
  return heads[kind] .. id
end

local COUNTERS, LANES, THREADS, BOUND = prefix .. 'counters', prefix .. 'lanes', prefix .. 'threads', prefix .. 'bound'
local CONVERSATIONS, RUNNING, FINISHED = prefix .. 'conversations', prefix .. 'running', prefix .. 'finished'
local SETTLED, CURSORS, REGISTRY = prefix .. 'settled', prefix .. 'cursors', prefix .. 'registry'
local JOINS, EXPIRIES, LOOSE = prefix .. 'joins', prefix .. 'expiries', prefix .. 'loose'
local DEAD, DEAD_TIMES, DELAYED = prefix .. 'dead', prefix .. 'dead_times', prefix .. 'delayed'
local PUMPS, LEASES, LISTENING = prefix .. 'pumps', prefix .. 'leases', prefix .. 'listening'
local SIZES, FLIGHTS, NUMBERS = prefix .. 'sizes', prefix .. 'flights', prefix .. 'numbers'

-- Who has not opened the backend for an organism keeps to the TTL of the one that has.
if root_id == '' then
  local kept = call('HGET', KEYS[1], 'ttl')
  if kept then keep_for(tonumber(kept) or ttl) end
end

-- What a flush or a restart without persistence has taken away must not be written to as if it were there.
if root_id ~= '' and call('HGET', KEYS[1], 'root_id') ~= root_id then
  error('XPIPEGONE the organism is not there any more', 0)
end

-- No script fails after its first write: before it, those that do not keep their writes for the end (records.lua) see
-- with this whether keys are of the type they must be.
local function require_type(wanted, ...)
  for _, name in ipairs({...}) do
    local found = call('TYPE', name).ok
    if found ~= wanted and found ~= 'none' then error('WRONGTYPE <' .. name .. '>', 0) end
  end
end

local function is_whole(value)  -- a number that Redis can add to
  return value == '0' or (#value < 19 and string.find(value, '^%-?[1-9]%d*$') ~= nil)
end

-- What was found in a field of a hash as a whole number, 0 for nothing.
local function number_of(found, name, field)
  if not found then return 0 end
  if not is_whole(found) then error('XPIPEDAMAGED <' .. name .. ' ' .. field .. '>', 0) end
  return tonumber(found)
end

local function number_in(name, field)
  return number_of(call('HGET', name, field), name, field)
end

local function require_counters()
  number_in(COUNTERS, 'in_flight')
  number_in(COUNTERS, 'slots')
end

local function exact(value)  -- a time keeps its fraction
  return string.format('%.17g', value)
end

local function expire(name)
  if ttl > 0 then redis.call('PEXPIRE', name, lifetime) end  -- of any type
end

local function store(name, data)
  if ttl > 0 then call('SET', name, data, 'PX', lifetime) else call('SET', name, data) end
end

local function each_page(list, visit)
  for first = 1, #list, PAGE do
    visit(unpack(list, first, math.min(first + PAGE - 1, #list)))
  end
end

local function exists(kind, id)
  return call('EXISTS', key(kind, id)) == 1
end

-- The string under `name`, or the dump of what is no string; nothing if there is nothing.
local function content(name)
  local data = redis.pcall('GET', name)
  return type(data) == 'table' and call('DUMP', name) or data
end

-- Of a list; 0 for what is none.
local function length_of(name)
  local length = redis.pcall('LLEN', name)
  return type(length) == 'number' and length or 0
end

-- Whether `chain` is bound to another id by now.
local function is_anothers(id, chain)
  local other = redis.pcall('GET', key('chain', chain))
  return type(other) == 'string' and other ~= id and call('HGET', REGISTRY, other) == chain
end

-- A binding to a chain is lost in both directions.
local function unbind(id)
  local chain = call('HGET', REGISTRY, id)
  if chain and not is_anothers(id, chain) then call('UNLINK', key('chain', chain)) end
  call('UNLINK', key('uuid', id))
  call('HDEL', BOUND, id)
  call('HDEL', REGISTRY, id)
end

local function count(name, delta)
  if delta ~= 0 then call('HINCRBY', COUNTERS, name, delta) end
end

return fail, call, prefix, root_id, ttl, SPARE, lifetime, keep_for, PAGE, DAY, key, COUNTERS, LANES, THREADS, BOUND,
  CONVERSATIONS, RUNNING, FINISHED, SETTLED, CURSORS, REGISTRY, JOINS, EXPIRIES, LOOSE, DEAD, DEAD_TIMES, DELAYED,
  PUMPS, LEASES, LISTENING, SIZES, FLIGHTS, NUMBERS, require_type, is_whole, number_of, number_in, require_counters,
  exact, expire, store, each_page, exists, content, length_of, is_anothers, unbind, count
