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

local function write_all(command, name, values)  -- which are not to be changed any more
  if #values > 0 then writes[#writes + 1] = {command, name, values = values} end
end

local is_moved = {}  -- by name the indexes by time that are written to

local function move(command, index, ...)
  is_moved[index] = true
  write(command, index, ...)
end

local endings = {}  -- what else is to be done before the writes happen

-- Strings are written together, at the end: where nothing expires in one command, whatever their number.
local strings, stays = {}, {}

-- `does_stay`: what is there has been given its life not long ago.
local function write_string(name, value, does_stay)
  local at = #strings
  strings[at + 1] = name
  strings[at + 2] = value
  stays[at + 1] = does_stay or nil
end

local function write_strings()
  if ttl == 0 then return each_page(strings, function(...) call('MSET', ...) end) end
  for at = 1, #strings, 2 do
    if stays[at] then
      redis.call('SET', strings[at], strings[at + 1], 'KEEPTTL')
    else
      redis.call('SET', strings[at], strings[at + 1], 'PX', lifetime)
    end
  end
end

-- What goes to the ends of lists is written before all else. The answer tells whether it is a list, and whether it was
-- there: nobody need ask before. If one is no list, the others become what they were.
local appended, to_lists, lasts = {}, {}, {}

-- `values` are not to be changed any more.
local function append(name, values)
  if #values == 0 then return end
  to_lists[#to_lists + 1] = name
  appended[#appended + 1] = values
end

local function take_back(count)
  for at = 1, count do call('RPOP', to_lists[at], #appended[at]) end
end

-- The names of the lists that were not there.
local function write_lists()
  local made = {}
  for at, name in ipairs(to_lists) do
    local values, length = appended[at], nil
    for first = 1, #values, PAGE do
      length = redis.pcall('RPUSH', name, unpack(values, first, math.min(first + PAGE - 1, #values)))
      if type(length) == 'table' then
        take_back(at - 1)
        fail(length.err, name)
      end
    end
    if length == #values then made[#made + 1] = name end
  end
  return made
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
  local made = write_lists()
  for _, one in ipairs(writes) do
    if one.values then
      each_page(one.values, function(...) call(one[1], one[2], ...) end)
    else
      call(unpack(one))
    end
  end
  write_strings()
  return made
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

local function queue(name, stored, does_last)
  local one = {key = name, lasts = does_last, stored = stored, taken = 0, first = {}, last = {}, head = 1}
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
  if q.taken > 0 then write('LTRIM', q.key, q.taken, -1) end
  if #q.first > 0 then write_all('LPUSH', q.key, q.first) end
  if q.head <= #q.last then
    local rest = {}
    for at = q.head, #q.last do rest[#rest + 1] = q.last[at] end
    lasts[q.key] = q.lasts
    append(q.key, rest)
  end
end

-- Counters -----------------------------------------------------------------------------------------------------------

local slots_more, flights_more, sequence = 0, 0, nil
local sizes, flights = {}, {}  -- by conversation; kept only where keys expire, to put the counters right then
local counters = nil  -- as they are stored

local function counter(name)
  counters = counters or call('HMGET', COUNTERS, 'in_flight', 'slots', 'seq')
  return number_of(counters[name == 'in_flight' and 1 or name == 'slots' and 2 or 3], COUNTERS, name)
end

local function next_number()
  sequence = (sequence or counter('seq')) + 1
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
  return counter('in_flight') + flights_more
end

-- Adds to the numbers of conversations in the hash `name`.
local function save_each(name, deltas)
  local ids, sums = {}, {}
  for conversation, delta in pairs(deltas) do
    if delta ~= 0 then ids[#ids + 1] = conversation end
  end
  each_page(ids, function(...)
    for _, stored in ipairs(read('HMGET', name, ...)) do
      local id = ids[#sums / 2 + 1]
      local number = number_of(stored, name, id) + deltas[id]
      sums[#sums + 1] = id
      sums[#sums + 1] = number
    end
  end)
  write_all('HSET', name, sums)
end

local function save_counters()
  local sums = {}
  local function add(name, number)
    sums[#sums + 1] = name
    sums[#sums + 1] = number
  end
  if slots_more ~= 0 then add('slots', counter('slots') + slots_more) end
  if flights_more ~= 0 then add('in_flight', flight_count()) end
  if sequence then add('seq', sequence) end
  write_all('HSET', COUNTERS, sums)
  if ttl > 0 then
    save_each(SIZES, sizes)
    save_each(FLIGHTS, flights)
  end
end

return read, write, write_all, append, lasts, is_moved, move, write_string, carry_out, dirty, touch, set, queues,
  queue, length, take, clear, save_queue, next_number, add_slots, add_flights, flight_count, save_counters, endings
