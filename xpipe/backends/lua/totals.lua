-- Counts over everything, in the order of BackendTotals, and the number of bindings from outside.

local counters = call('HMGET', COUNTERS, 'in_flight', 'slots')
return {
  call('ZCARD', THREADS), call('ZCARD', CONVERSATIONS), call('ZCARD', RUNNING), tonumber(counters[1] or 0),
  tonumber(counters[2] or 0), call('HLEN', JOINS), call('HLEN', DEAD), call('HLEN', BOUND),
}
