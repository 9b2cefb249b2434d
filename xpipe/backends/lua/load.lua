-- The number of messages in flight, and of threads.

return {number_in(COUNTERS, 'in_flight'), call('ZCARD', THREADS)}
