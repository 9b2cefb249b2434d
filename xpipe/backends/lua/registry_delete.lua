-- ARGV: 3... ids whose binding goes, unless a thread has them. How many there were.

require_type('hash', BOUND, REGISTRY)

local gone = 0
for at = 3, #ARGV do
  if call('HEXISTS', BOUND, ARGV[at]) == 1 and not exists('thread', ARGV[at]) then
    unbind(ARGV[at])
    gone = gone + 1
  end
end
return gone
