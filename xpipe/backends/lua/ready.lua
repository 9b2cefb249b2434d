-- What waits to be claimed, in a queue for each listener, and who is told of what.

local lane_names, is_listed, lanes, stored_names = nil, {}, {}, ''

local function load_lanes()
  if lane_names then return end
  lane_names = read('LRANGE', LANES, 0, -1)
  stored_names = table.concat(lane_names, '\0')
  for _, name in ipairs(lane_names) do is_listed[name] = true end
end

local function listed_lanes()
  load_lanes()
  return {unpack(lane_names)}
end

local function lane(name)
  if not lanes[name] then
    local list = key('ready', name)
    lanes[name] = queue(list, read('LLEN', list), true)
  end
  return lanes[name]
end

local function make_ready(t, first)
  local name = t.listener
  load_lanes()
  if not is_listed[name] then
    lane_names[#lane_names + 1] = name
    is_listed[name] = true
  end
  local side = lane(name)[first and 'first' or 'last']
  side[#side + 1] = t.id
end

-- Takes the threads `ids` out of the queue of the listener `name`, which is read up to the last of them.
local function drop_ready(name, ids)
  load_lanes()
  local q, kept, gone, left = lane(name), {}, {}, #ids
  for _, id in ipairs(ids) do gone[id] = true end
  while left > 0 and length(q) > 0 do
    for _, id in ipairs(take(q, PAGE)) do
      if gone[id] then left = left - 1 else kept[#kept + 1] = id end
    end
  end
  for at = #kept, 1, -1 do q.first[#q.first + 1] = kept[at] end
  if length(q) > 0 then return end
  is_listed[name] = nil
  for at, other in ipairs(lane_names) do
    if other == name then return table.remove(lane_names, at) end
  end
end

-- What was served goes behind the others, even if it fills up again: none is starved when `most` is reached.
local function take_ready(room, most)
  load_lanes()
  local taken, waiting, served = {}, {}, {}
  for _, name in ipairs(lane_names) do
    local wanted = math.min(room[name] or 0, most - #taken)
    local got = wanted > 0 and take(lane(name), wanted) or {}
    fetch_threads(got)
    for _, id in ipairs(got) do
      taken[#taken + 1] = thread(id)  -- nothing, if it has expired
    end
    local list = #got > 0 and served or waiting
    if #got == 0 or length(lanes[name]) > 0 then list[#list + 1] = name else is_listed[name] = nil end
  end
  for _, name in ipairs(served) do waiting[#waiting + 1] = name end
  lane_names = waiting
  return taken
end

local function save_lanes()
  if not lane_names or table.concat(lane_names, '\0') == stored_names then return end
  write('UNLINK', LANES)
  write_all('RPUSH', LANES, lane_names)
end

-- Events -------------------------------------------------------------------------------------------------------------

local told, enrolled = {}, {}

local function is_enrolled(pump)
  if enrolled[pump] == nil then enrolled[pump] = pump ~= '' and read('HEXISTS', PUMPS, pump) == 1 end
  return enrolled[pump]
end

local function tell_pump(pump, conversation, kind, message, state, cause)
  if not is_enrolled(pump) then return end
  told[pump] = told[pump] or {}
  local inbox = told[pump]
  for _, value in ipairs({conversation, kind, message or '', state or '', cause or ''}) do
    inbox[#inbox + 1] = value
  end
end

local function tell(conversation, ...)
  tell_pump(conversation.owner, conversation.id, ...)
end

-- One token in its list wakes a pump, or lets its next wait return at once; a second one would say nothing more.
local function wake(pump)
  local list = key('wake', pump)
  if read('LLEN', list) > 0 then return end
  write('RPUSH', list, 1)
  if ttl > 0 then write('EXPIRE', list, DAY) end
end

local function save_news(pump)
  local awake = {[pump] = true}
  for owner, inbox in pairs(told) do
    append(key('inbox', owner), inbox, true)
    if not awake[owner] then wake(owner) end
    awake[owner] = true
  end
  local left = false
  for _, q in pairs(lanes) do left = left or #q.first > 0 or q.head <= #q.last end
  if not left then return end
  for _, other in ipairs(read('SMEMBERS', LISTENING)) do
    if not awake[other] then wake(other) end
  end
end

-- Claims of a pump, by the age of their threads ----------------------------------------------------------------------

local claims = {}

local function own(t, pump)
  local before = t.owner
  if before ~= '' then
    claims[before] = claims[before] or {}
    claims[before][t.id] = false
  end
  if pump ~= '' then
    claims[pump] = claims[pump] or {}
    claims[pump][t.id] = t.seq
  end
  set(t, 'owner', pump)
end

local function save_claims()
  for pump, changes in pairs(claims) do
    local added, removed = {}, {}
    for id, seq in pairs(changes) do
      if seq then
        added[#added + 1] = seq
        added[#added + 1] = id
      else
        removed[#removed + 1] = id
      end
    end
    write_all('ZADD', key('claimed', pump), added)  -- First, as a set that runs empty is slow to fill again.
    write_all('ZREM', key('claimed', pump), removed)
  end
end

return listed_lanes, make_ready, drop_ready, take_ready, save_lanes, told, is_enrolled, tell_pump, tell, save_news, own,
  save_claims
