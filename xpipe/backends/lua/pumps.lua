-- What the clock of the server says; by pump the records, and when the leases end by that clock.

return {exact(server_now()), call('HGETALL', PUMPS), call('HGETALL', LEASES)}
