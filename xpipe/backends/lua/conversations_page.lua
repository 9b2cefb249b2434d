-- ARGV: 3 'running' or 'conversations', 4 whether (1) only those of 5 an owner, 6 whether (1) only those that run or
-- have outputs that nobody has printed, 7 where the page begins, 8 rows. Where the next page begins ('' for nowhere), and
-- a row for each conversation.

local ids, after = page_of(prefix .. ARGV[3], ARGV[7], ARGV[8])
local rows = {}
local found = rows_of(ids, conversation_row)
for _, row in ipairs(found) do
  local settled = row[3] ~= 'running' and row[8] >= row[7]
  if (ARGV[4] ~= '1' or row[4] == ARGV[5]) and not (ARGV[6] == '1' and settled) then rows[#rows + 1] = row end
end
return {after, rows}
