-- ARGV: 3 where the page begins ('' for the first), 4 rows, 5 how many bytes of slots are enough for a page. Where the
-- next page begins ('' for nowhere), and of each thread its id, the indexes of the slots that wait in its mailbox, and
-- its slots; those of a thread with more than that are left out.

local enough = tonumber(ARGV[5])

local function waiting_of(id, t)
  local waiting = t.parked > 0 and call('LRANGE', key('mailbox', id), 0, -1) or {}
  if t.head ~= -1 then waiting[#waiting + 1] = tostring(t.head) end
  return waiting
end

local ids, after = page_of(THREADS, ARGV[3], ARGV[4])
local rows, bytes = {}, 0
for at, id in ipairs(ids) do
  local fine, t = pcall(stored, key('thread', id), thread_of)
  -- One of which something else is damaged is told of by damaged_page.
  t = fine and not damaged('buffer', id) and not damaged('mailbox', id) and t
  bytes = bytes + (t and t.bytes or 0)
  if bytes > enough and #rows > 0 then
    return {'(' .. call('ZSCORE', THREADS, ids[at - 1]), rows}
  end
  if t then
    local slots = t.bytes <= enough and call('LRANGE', key('buffer', id), 0, -1) or false
    rows[#rows + 1] = {id, waiting_of(id, t), slots}
  end
end
return {after, rows}
