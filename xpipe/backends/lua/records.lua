-- The records that a commit works on. They are read when they are first asked for and changed in Lua tables; all
-- writes happen in `flush`, after every rule was applied, and after every key was seen to be of the type it must be.
-- A script that fails has therefore written nothing.

local seen, writes = {}, {}

local function read(command, name, ...)
  seen[name] = true
  return call(command, name, ...)
end

local function write(command, name, ...)
  writes[#writes + 1] = {command, name, ...}
end

local function write_all(command, name, values)
  each_page(values, function(...) write(command, name, ...) end)
end

local is_moved = {}  -- by name the indexes by time that are written to

local function move(command, index, ...)
  is_moved[index] = true
  write(command, index, ...)
end

-- Strings are written together, at the end: one command whatever their number.
local strings = {}

local function write_string(name, value)
  strings[#strings + 1] = name
  strings[#strings + 1] = value
end

local PROBES = {
  RPUSH = 'LLEN', LPUSH = 'LLEN', LTRIM = 'LLEN', LREM = 'LLEN', HSET = 'HLEN', HDEL = 'HLEN', HINCRBY = 'HLEN',
  ZADD = 'ZCARD', ZREM = 'ZCARD', SADD = 'SCARD', SREM = 'SCARD',
}

local function carry_out()
  for _, one in ipairs(writes) do
    local probe = PROBES[one[1]]
    if one[1] == 'HINCRBY' then number_in(one[2], one[3]) end
    if probe and not seen[one[2]] then read(probe, one[2]) end
  end
  for _, one in ipairs(writes) do
    call(unpack(one))
  end
  each_page(strings, function(...) call('MSET', ...) end)
end

-- Records: strings of msgpack values one after the other, see layout.lua -------------------------

local dirty = {}

local function touch(record)
  if not record.dirty then
    record.dirty = true
    dirty[#dirty + 1] = record
  end
end

local function set(record, name, value)
  if record[name] ~= value then
    record[name] = value
    touch(record)
  end
end

-- Queues: lists of which a commit takes from the head and adds at both ends ------------------------------------------

local queues = {}

local function queue(name, stored)
  local one = {key = name, stored = stored, taken = 0, first = {}, last = {}, head = 1}
  queues[#queues + 1] = one
  return one
end

local function length(q)
  return #q.first + q.stored - q.taken + #q.last - q.head + 1
end

local function take(q, most)
  local got = {}
  while #got < most and #q.first > 0 do got[#got + 1] = table.remove(q.first) end
  local wanted = math.min(most - #got, q.stored - q.taken)
  if wanted > 0 then
    for _, value in ipairs(read('LRANGE', q.key, q.taken, q.taken + wanted - 1)) do got[#got + 1] = value end
    q.taken = q.taken + wanted
  end
  while #got < most and q.head <= #q.last do
    got[#got + 1] = q.last[q.head]
    q.head = q.head + 1
  end
  return got
end

local function clear(q)
  q.taken, q.first, q.last, q.head = q.stored, {}, {}, 1
end

local function save_queue(q)
  local from = #writes
  if q.taken > 0 then write('LTRIM', q.key, q.taken, -1) end
  if #q.first > 0 then write_all('LPUSH', q.key, q.first) end
  if q.head <= #q.last then
    local rest = {}
    for at = q.head, #q.last do rest[#rest + 1] = q.last[at] end
    write_all('RPUSH', q.key, rest)
  end
  return #writes > from
end

-- Counters -----------------------------------------------------------------------------------------------------------

local slots_more, flights_more, sequence = 0, 0, nil
local sizes, flights = {}, {}  -- by conversation; kept only where keys expire, to put the counters right then

local function next_number()
  sequence = sequence or number_in(COUNTERS, 'seq')
  sequence = sequence + 1
  return sequence
end

local function add_slots(conversation, delta)
  slots_more = slots_more + delta
  sizes[conversation] = (sizes[conversation] or 0) + delta
end

local function add_flights(conversation, delta)
  flights_more = flights_more + delta
  flights[conversation] = (flights[conversation] or 0) + delta
end

local function flight_count()
  return number_in(COUNTERS, 'in_flight') + flights_more
end

local function save_each(name, deltas)
  for conversation, delta in pairs(deltas) do
    if delta ~= 0 then write('HINCRBY', name, conversation, delta) end
  end
end

local function save_counters()
  if slots_more ~= 0 then write('HINCRBY', COUNTERS, 'slots', slots_more) end
  if flights_more ~= 0 then write('HINCRBY', COUNTERS, 'in_flight', flights_more) end
  if sequence then write('HSET', COUNTERS, 'seq', sequence) end
  if ttl > 0 then
    save_each(SIZES, sizes)
    save_each(FLIGHTS, flights)
  end
end

return seen, read, write, write_all, is_moved, move, write_string, carry_out, dirty, touch, set, queues, queue, length,
  take, clear, save_queue, next_number, add_slots, add_flights, flight_count, save_counters
