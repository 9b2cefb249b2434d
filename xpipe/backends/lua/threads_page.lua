-- ARGV: 3 a conversation or '' for all, 4 where the page begins (an index; a score for all), 5 rows.
-- Where the next page begins ('' for nowhere), and a row for each thread.

local ids, after = {}, ''
if ARGV[3] == '' then
  local page = call('ZRANGEBYSCORE', THREADS, ARGV[4], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[5])
  for at = 1, #page, 2 do ids[#ids + 1] = page[at] end
  if #page > 0 then after = '(' .. page[#page] end
else
  local first, rows = tonumber(ARGV[4]), tonumber(ARGV[5])
  ids = call('LRANGE', key('members', ARGV[3]), first, first + rows - 1)
  if #ids > 0 then after = tostring(first + #ids) end
end

-- Nobody waits for a join without `collect`.
local function waits(id, t)
  if t.opens > 0 then return true end
  local data = t.join ~= '' and call('GET', key('join', id))
  local join = data and join_of_data(data)
  return join and join.missing > 0 and join.collect == 1
end

local function state_of(id, t)
  if t.head ~= -1 then return 'active' end
  if waits(id, t) then return 'waiting' end
  return t.failed == 1 and 'failed' or 'done'
end

-- The sender and the receiver stand near the beginning of a message; its payload need not be read.
local function ends_of(data)
  local fine, _, _, _, _, sender, to = pcall(cmsgpack.unpack_limit, string.sub(data, 2, 4096), 5, 0)
  if not fine then return '', '' end
  return sender or '', to or ''
end

local function row(id)
  local data = call('GET', key('thread', id))
  if not data then return nil end
  local t, slots, sender, to = thread_of(data), call('LLEN', key('buffer', id)), '', ''
  if slots > 0 then sender, to = ends_of(call('LINDEX', key('buffer', id), -1)) end
  return {id, t.conversation, t.chain, t.listener, state_of(id, t), slots, t.bytes, sender, to}
end

local rows = {}
for _, id in ipairs(ids) do rows[#rows + 1] = row(id) end
return {after, rows}
