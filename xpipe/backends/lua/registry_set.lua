-- ARGV: 3 a chain, 4 an id. Bound to it now: the id; or, when the id is taken, nothing and the chain that has it.

require_type('hash', BOUND, REGISTRY)

local chain, id = ARGV[3], ARGV[4]
local bound = call('GET', key('chain', chain))
if bound then return {bound} end
local other = call('GET', key('uuid', id))
if other then return {'', other} end
call('HSET', BOUND, id, chain)
call('HSET', REGISTRY, id, chain)
mend_pair(id, chain)
return {id}
