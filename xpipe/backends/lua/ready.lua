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
    local name = key('inbox', owner)
    lasts[name] = true
    append(name, inbox)
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

-- Claims: what a pump has claimed, and the fences of these claims -----------------------------------------------------

local FENCE = '%065d'  -- A hash with such a long value is not one that Redis goes through from its beginning each time.
local claims, claim_changes = {}, {}  -- by pump and thread: the fence or false; whether it is changed

-- One command for what a batch will ask for one by one.
local function fetch_claims(pump, ids)
  claims[pump] = claims[pump] or {}
  for first = 1, #ids, PAGE do
    local last = math.min(first + PAGE - 1, #ids)
    for at, fence in ipairs(read('HMGET', key('claimed', pump), unpack(ids, first, last))) do
      local id = ids[first + at - 1]
      if claims[pump][id] == nil then claims[pump][id] = fence and (tonumber(fence) or 0) end
    end
  end
end

-- The fence of the claim that `pump` has to the thread, if it has one; 0, which no claim has, if it cannot be read.
local function fence_of(pump, id)
  if not claims[pump] or claims[pump][id] == nil then fetch_claims(pump, {id}) end
  return claims[pump][id]
end

local function set_claim(pump, id, fence)
  claims[pump], claim_changes[pump] = claims[pump] or {}, claim_changes[pump] or {}
  claims[pump][id], claim_changes[pump][id] = fence, true
end

local function end_claim(pump, t)
  touch(t)
  t.fence = math.max(t.fence, fence_of(pump, t.id) or 0)
  set_claim(pump, t.id, false)
end

local claimants = nil  -- all pumps that may have claims

local function each_claimant()
  if not claimants then
    claimants = {}
    for _, pump in ipairs(read('HKEYS', PUMPS)) do claimants[pump] = true end
    for _, pump in ipairs(read('SMEMBERS', LISTENING)) do claimants[pump] = true end
  end
  return pairs(claimants)
end

local function fetch_claims_of_all(ids)
  for pump in each_claimant() do fetch_claims(pump, ids) end
end

-- Who has claimed the first message of a thread; nothing if nobody has.
local function claimant(id)
  for pump in each_claimant() do
    if fence_of(pump, id) then return pump end
  end
  return nil
end

local function save_claims()
  for pump, changes in pairs(claim_changes) do
    local added, removed = {}, {}
    for id in pairs(changes) do
      local fence = claims[pump][id]
      if fence then
        added[#added + 1] = id
        added[#added + 1] = string.format(FENCE, fence)
      else
        removed[#removed + 1] = id
      end
    end
    write_all('HSET', key('claimed', pump), added)
    write_all('HDEL', key('claimed', pump), removed)
  end
end

return listed_lanes, make_ready, drop_ready, take_ready, save_lanes, told, is_enrolled, tell_pump, tell, save_news,
  fetch_claims, fence_of, set_claim, end_claim, each_claimant, fetch_claims_of_all, claimant, save_claims
