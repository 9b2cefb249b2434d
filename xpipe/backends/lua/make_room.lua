-- ARGV: 3 as many threads are too many, 4 how many may go at most. 1: there is room; 0: there is none, and nothing that
-- may go; else the conversation to forget, after which this is to be called again.

local most, left = tonumber(ARGV[3]), tonumber(ARGV[4])
while call('ZCARD', THREADS) >= most do
  local oldest = call('ZRANGE', SETTLED, 0, 0)[1]
  if not oldest then return 0 end
  if call('LLEN', key('members', oldest)) > left then return oldest end
  local threads = forget(oldest, left)
  left = left - threads - 1
end
return 1
