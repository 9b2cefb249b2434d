-- A call of a pump, which may come again because its answer was lost. ARGV: 3 pump, 4 the process that calls, 5 the
-- number of this call, 6 that of the last call it knows to have been kept, '' if it does not serve that pump.

local pump, number, known = ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local mark = key('call', ARGV[4] .. ':' .. pump)
local kept = tonumber(call('GET', mark) or 0)
local is_again = kept == number

-- A server that has forgotten a call has forgotten what followed from it: nobody may go on waiting for that.
if known and kept < known then
  error('XPIPELOST changes that were made are not there any more', 0)
end

-- In seconds. A call comes again for a shorter time than that. A pump that was away for so long that what it waits for
-- may have expired finds its mark expired before: live keys are renewed every third of the TTL.
local MARKED = known and (ttl > 0 and math.min(DAY, math.max(1, math.floor(ttl / 2))) or DAY) or 120

return pump, number, known, mark, is_again, MARKED
