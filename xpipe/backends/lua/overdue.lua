-- What waits for its time: delayed threads, and joins that expire.

local function delay(t, due)
  set(t, 'due', due)
  move('ZADD', DELAYED, exact(due), t.id)
end

local function undelay(t)
  set(t, 'due', 0)
  move('ZREM', DELAYED, t.id)
end

-- B6. `stored` are the ids of the joins whose time had passed before this commit.
local function expire_joins(stored)
  local due = {}
  for id, join in pairs(joins) do
    local at = join.expires
    if at > 0 and at <= now then due[#due + 1] = join end
  end
  for _, id in ipairs(stored) do
    local owner = read('HGET', JOINS, id)
    local t = owner and thread(owner)
    local join = t and t.join == id and join_of(t)
    if join and join.open == 1 and not joins[id] then due[#due + 1] = join end
  end
  table.sort(due, function(one, other)
    if one.expires ~= other.expires then return one.expires < other.expires end
    return one.id < other.id
  end)
  for _, join in ipairs(due) do joined(join) end
end

-- `ids` are the threads that were due before this commit, in the order of their times.
local function wake_delayed(ids)
  fetch_threads(ids)
  for _, id in ipairs(ids) do
    local t = thread(id)
    if t and t.due ~= 0 then  -- Else it was cancelled, or has expired.
      set(t, 'due', 0)
      make_ready(t)
    end
  end
  each_page(ids, function(...) move('ZREM', DELAYED, ...) end)
end

return delay, undelay, expire_joins, wake_delayed
