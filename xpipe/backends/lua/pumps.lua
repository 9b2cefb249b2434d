-- What the clock of the server says; by pump the records, and when the leases end by that clock. A lease that is no
-- number has run out.

local leases = call('HGETALL', LEASES)
for at = 2, #leases, 2 do leases[at] = exact(tonumber(leases[at]) or 0) end
return {exact(server_now()), call('HGETALL', PUMPS), leases}
