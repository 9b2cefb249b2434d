-- ARGV: 3 the score where the page begins, 4 rows. Where the next page begins, and the threads that have a slot.

local page = call('ZRANGEBYSCORE', THREADS, ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
local ids = {}
for at = 1, #page, 2 do
  if call('EXISTS', key('buffer', page[at])) == 1 then ids[#ids + 1] = page[at] end
end
return {#page > 0 and '(' .. page[#page] or '', ids}
