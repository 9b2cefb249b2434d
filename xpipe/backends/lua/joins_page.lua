-- ARGV: 3 cursor, 4 rows. Where the next page begins ('0' for nowhere), and id, missing and total of each open join.

local scanned, rows = call('HSCAN', JOINS, ARGV[3], 'COUNT', ARGV[4]), {}
for at = 1, #scanned[2], 2 do
  local id, owner = scanned[2][at], scanned[2][at + 1]
  local join = stored(key('join', owner), join_of_data)
  if join then rows[#rows + 1] = {id, join.missing, join.total} end
end
return {scanned[1], rows}
