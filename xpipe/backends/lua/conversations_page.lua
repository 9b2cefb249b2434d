-- ARGV: 3 'running' or 'conversations', 4 whether (1) only those of 5 an owner, 6 where the page begins,
-- 7 rows. Where the next page begins ('' for nowhere), and a row for each conversation.

local ids, after = page_of(prefix .. ARGV[3], ARGV[6], ARGV[7])
local rows = {}
local found = rows_of(ids, conversation_row)
for _, row in ipairs(found) do
  if ARGV[4] ~= '1' or row[4] == ARGV[5] then rows[#rows + 1] = row end
end
return {after, rows}
