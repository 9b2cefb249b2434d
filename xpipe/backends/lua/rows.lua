-- Threads and conversations as they are told of outside.

-- Nobody waits for the end of a join without `collect`.
local function waits(id, t)
  if t.opens > 0 then return true end
  local join = t.join ~= '' and stored(key('join', id), join_of_data)
  return join and join.open == 1 and join.collect == 1
end

local function state_of(id, t)
  if t.head ~= -1 then return 'active' end
  if waits(id, t) then return 'waiting' end
  return t.failed == 1 and 'failed' or 'done'
end

local function thread_row(id)
  local t, slots = stored(key('thread', id), thread_of), call('LLEN', key('buffer', id))
  if not t then return nil end
  local last = slots > 0 and envelope(call('LINDEX', key('buffer', id), -1)) or {sender = '', to = ''}
  return {
    id, t.conversation, t.chain, t.listener, state_of(id, t), slots, t.bytes, last.sender, last.to, exact(t.touched),
  }
end

local function row_of_conversation(id, one)
  local chain = call('HGET', REGISTRY, id) or ''
  local state = one.ended == 0 and 'running' or VERDICTS[one.verdict + 1] or 'done'
  return {
    id, chain, state, one.owner, exact(one.started), exact(one.ended), one.outputs, one.delivered,
    call('LLEN', key('members', id)), one.retried_from,
  }
end

local function conversation_row(id)
  local one = stored(key('conversation', id), conversation_of_data)
  return one and row_of_conversation(id, one)
end

local ENOUGH = 4 * 1024 * 1024  -- bytes of threads in a page: a row reads the last slot, which may be large

-- A row for each of the ids, and how many of them were read.
local function rows_of(ids, row)
  local rows, bytes = {}, 0
  for at, id in ipairs(ids) do
    if bytes > ENOUGH then return rows, at - 1 end
    local one = row(id)
    rows[#rows + 1] = one
    bytes = bytes + (one and row == thread_row and one[7] or 0)
  end
  return rows, #ids
end

-- The members of a set by score from `after` on ('' for the first), and where the next page begins ('' for nowhere).
local function page_of(index, after, rows, downwards)
  local ids, page = {}
  if downwards then
    page = call('ZREVRANGEBYSCORE', index, after == '' and '+inf' or after, '-inf', 'WITHSCORES', 'LIMIT', 0, rows)
  else
    page = call('ZRANGEBYSCORE', index, after == '' and '-inf' or after, '+inf', 'WITHSCORES', 'LIMIT', 0, rows)
  end
  for at = 1, #page, 2 do ids[#ids + 1] = page[at] end
  return ids, #page > 0 and '(' .. page[#page] or ''
end

return thread_row, row_of_conversation, conversation_row, rows_of, page_of
