-- ARGV: 3 where the page begins ('' for the first), 4 rows. Where the next page begins ('' for nowhere), and the
-- threads that have a slot.

local page, after = page_of(THREADS, ARGV[3], ARGV[4])
local ids = {}
for _, id in ipairs(page) do
  if exists('buffer', id) then ids[#ids + 1] = id end
end
return {after, ids}
