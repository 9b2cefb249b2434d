-- Joins: what their rules see of the records.

local function join_of(t)
  if t.join == '' then return nil end
  if t.joining == nil then
    local name = key('join', t.id)
    local one = stored(name, join_of_data) or false
    t.joining = one
    if one then one.key, one.data_of, one.results, one.thread = name, join_data, {}, t end
  end
  return t.joining or nil
end

local function begin_join(t, terms)
  local id, total, joined, collect, expires, more, low, enough, spare = unpack(terms, 1, 9)
  local is_awaited = collect or more ~= ''
  write('UNLINK', key('join', t.id))
  write('UNLINK', key('results', t.id))
  t.joining = {
    key = key('join', t.id), data_of = join_data, results = {}, thread = t, new = true,
    id = id, total = total, missing = total, joined = joined, collect = collect and 1 or 0, expires = expires,
    more = more, low = low, enough = enough, spare = spare, faults = 0, feeding = 0, more_at = -1,
    open = is_awaited and 1 or 0,
  }
  touch(t.joining)
  set(t, 'join', id)
  if is_awaited then
    joins[id] = t.joining
    write('HSET', JOINS, id, t.id)
    if expires > 0 then move('ZADD', EXPIRIES, exact(expires), id) end
  end
end

-- Goes on with an open join under `terms`, whose total counts further items.
local function extend_join(join, terms)
  local _, total, joined, collect, _, more, low, enough, spare = unpack(terms, 1, 9)
  set(join, 'missing', join.missing + total - join.total)
  set(join, 'total', total)
  set(join, 'joined', joined)
  set(join, 'collect', collect and 1 or 0)
  set(join, 'more', more)
  set(join, 'low', low)
  set(join, 'enough', enough)
  set(join, 'spare', spare)
  set(join, 'feeding', 0)
end

local function is_decided(join)
  local successes = join.total - join.missing - join.faults
  return (join.enough > 0 and successes >= join.enough) or (join.spare >= 0 and join.faults > join.spare)
end

local function is_over(join)
  return is_decided(join) or (join.missing == 0 and join.more == '')
end

local function is_hungry(join)
  return join.more ~= '' and join.feeding == 0 and join.missing <= join.low
end

local function end_join(join)
  joins[join.id] = nil
  set(join, 'open', 0)
  write('HDEL', JOINS, join.id)
  if join.expires > 0 then move('ZREM', EXPIRIES, join.id) end
end

local function drop_join(t)
  if t.join == '' then return end
  local join = join_of(t)
  if join and join.open == 1 then end_join(join) end
  if join then join.dropped = true end
  write('UNLINK', key('join', t.id))
  write('UNLINK', key('results', t.id))
  set(t, 'join', '')
  t.joining = nil
end

-- Whether `data` is the first result at `index`.
local function record_result(join, index, data)
  if join.missing == 0 or index < 0 or index >= join.total or join.results[index] then return false end
  local is_begun = not join.new and join.missing < join.total
  if is_begun and read('HEXISTS', key('results', join.thread.id), index) == 1 then return false end
  touch(join)
  join.results[index] = data
  return true
end

local function count_result(join, is_fault)
  set(join, 'missing', join.missing - 1)
  if is_fault then set(join, 'faults', join.faults + 1) end
end

return join_of, begin_join, extend_join, is_over, is_hungry, end_join, drop_join, record_result, count_result
