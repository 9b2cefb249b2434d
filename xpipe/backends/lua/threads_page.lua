-- ARGV: 3 a conversation or '' for all, 4 whether the newest come first (1), 5 where the page begins ('' for the
-- first), 6 rows. Where the next page begins ('' for nowhere), and a row for each thread.

local downwards, rows = ARGV[4] == '1', tonumber(ARGV[6])

local function page_upwards(members)
  local first = tonumber(ARGV[5]) or 0
  local ids = call('LRANGE', members, first, first + rows - 1)
  return ids, #ids > 0 and tostring(first + #ids) or ''
end

local function page_downwards(members)
  local ids, above = {}, tonumber(ARGV[5]) or call('LLEN', members)
  local first = math.max(0, above - rows)
  local upwards = above > 0 and call('LRANGE', members, first, above - 1) or {}
  for at = #upwards, 1, -1 do ids[#ids + 1] = upwards[at] end
  return ids, first > 0 and tostring(first) or ''
end

-- Where the page begins that follows the first `count` threads of this one.
local function after_row(ids, count)
  if ARGV[3] == '' then return '(' .. call('ZSCORE', THREADS, ids[count]) end
  if not downwards then return tostring((tonumber(ARGV[5]) or 0) + count) end
  return tostring((tonumber(ARGV[5]) or call('LLEN', key('members', ARGV[3]))) - count)
end

local ids, after
if ARGV[3] == '' then
  ids, after = page_of(THREADS, ARGV[5], rows, downwards)
else
  ids, after = (downwards and page_downwards or page_upwards)(key('members', ARGV[3]))
end
local found, count = rows_of(ids, thread_row)
if count < #ids then after = after_row(ids, count) end
return {after, found}
