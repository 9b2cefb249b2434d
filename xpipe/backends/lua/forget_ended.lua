-- ARGV: 3 a time, 4 how many conversations that ended before, 5 and how many threads, at most. How many conversations
-- are gone, and whether the number of threads has left some for another call. Only one that is too large for any call
-- goes in parts.

local left, gone = tonumber(ARGV[5]), 0
for _, id in ipairs(call('ZRANGEBYSCORE', FINISHED, '-inf', '(' .. ARGV[3], 'LIMIT', 0, ARGV[4])) do
  if gone > 0 and call('LLEN', key('members', id)) > left then return {gone, 1} end
  local threads, is_gone = forget(id, left)
  if not is_gone then return {gone, 1} end
  gone, left = gone + 1, left - threads - 1
end
return {gone, 0}
