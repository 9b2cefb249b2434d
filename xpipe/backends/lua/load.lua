-- The number of messages in flight, and of threads.

return {tonumber(call('HGET', COUNTERS, 'in_flight') or 0), call('ZCARD', THREADS)}
