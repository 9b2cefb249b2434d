-- ARGV: 3 the score where the page begins, 4 rows. Where the next page begins, and id and chain of each thread.

local page = call('ZRANGEBYSCORE', THREADS, ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
if #page == 0 then return {'', {}} end

local ids, names, rows = {}, {}, {}
for at = 1, #page, 2 do
  ids[#ids + 1] = page[at]
  names[#names + 1] = key('uuid', page[at])
end
for at, chain in ipairs(call('MGET', unpack(names))) do
  if chain then rows[#rows + 1] = {ids[at], chain} end
end
return {'(' .. page[#page], rows}
