-- Leases end by the clock of the server: those of the hosts may be minutes apart.

local function server_now()
  local time = call('TIME')
  return time[1] + time[2] / 1e6
end

return server_now
