-- ARGV: 3 pumps, cursors, dead or handmade, 4 the id of a damaged entry, 5 what was found there, 6 the fault and 7 the
-- time of the dead letter that keeps it. Whether it was still there.

local kind, id, found = ARGV[3], ARGV[4], ARGV[5]

if kind == 'handmade' then
  if damaged(kind, id) ~= found then return 0 end
  write('UNLINK', key('handmade', id), key('handmade-results', id))
  write('HDEL', JOINS, id)
else
  if read('HGET', prefix .. kind, id) ~= found then return 0 end
  write('HDEL', prefix .. kind, id)
  if kind == 'dead' then write('ZREM', DEAD_TIMES, id) end
end
bury(found, ARGV[6], true, '', 0, tonumber(ARGV[7]))
flush('')
return 1
