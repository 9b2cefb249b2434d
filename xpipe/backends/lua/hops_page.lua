-- ARGV: 3 where the page begins ('' for the first), 4 rows. Where the next page begins ('' for nowhere), and the ids of
-- the conversations that have a list of hops.

local ids, after = page_of(CONVERSATIONS, ARGV[3], ARGV[4])
local rows = {}
for _, id in ipairs(ids) do
  -- Of what is no list damaged_page tells.
  if call('TYPE', key('hops', id)).ok == 'list' then rows[#rows + 1] = id end
end
return {after, rows}
