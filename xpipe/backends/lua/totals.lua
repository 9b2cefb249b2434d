-- Counts over everything, in the order of BackendTotals, and the number of bindings from outside.

return {
  call('ZCARD', THREADS), call('ZCARD', CONVERSATIONS), call('ZCARD', RUNNING), number_in(COUNTERS, 'in_flight'),
  number_in(COUNTERS, 'slots'), call('HLEN', JOINS), call('HLEN', DEAD), call('HLEN', BOUND),
}
