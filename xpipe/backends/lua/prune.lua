-- ARGV: 3 threads, loose, bound or joins, 4 where the page begins, 5 rows. Entries of an index whose data has expired
-- go. Where the next page begins, '' for nowhere.

local what, after, rows = ARGV[3], ARGV[4], ARGV[5]

local function drop(id)
  call('ZREM', THREADS, id)
  call('HDEL', REGISTRY, id)
end

local function threads()
  local page = call('ZRANGEBYSCORE', THREADS, after == '' and '-inf' or after, '+inf', 'WITHSCORES', 'LIMIT', 0, rows)
  for at = 1, #page, 2 do
    if not exists('thread', page[at]) then drop(page[at]) end
  end
  return #page > 0 and '(' .. page[#page] or ''
end

local gone = {}

function gone.loose(id, slots)
  if exists('buffer', id) then return end
  count('slots', -tonumber(slots))
  call('HDEL', LOOSE, id)
end

function gone.bound(id)
  if exists('uuid', id) then return end
  call('HDEL', BOUND, id)
  call('HDEL', REGISTRY, id)
end

function gone.joins(id, owner)
  if exists(owner == '' and 'handmade' or 'join', owner == '' and id or owner) then return end
  call('HDEL', JOINS, id)
  call('ZREM', EXPIRIES, id)
end

if what == 'threads' then return threads() end
local scanned = call('HSCAN', prefix .. what, after == '' and '0' or after, 'COUNT', rows)
for at = 1, #scanned[2], 2 do gone[what](scanned[2][at], scanned[2][at + 1]) end
return scanned[1] == '0' and '' or scanned[1]
