-- ARGV: 3 cursor, 4 rows. Where the next page begins ('0' for nowhere), and the ids that have a slot and are no thread.

local scanned, ids = call('HSCAN', LOOSE, ARGV[3], 'COUNT', ARGV[4]), {}
for at = 1, #scanned[2], 2 do
  if exists('buffer', scanned[2][at]) then ids[#ids + 1] = scanned[2][at] end
end
return {scanned[1], ids}
