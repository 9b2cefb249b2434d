-- ARGV: 3 a cursor, 4 rows. Where the next page begins ('0' for nowhere), and of each half of a pair that is there and
-- says what nothing else does: the key, uuid or chain, the id of the pair, and what is stored there.

local rows = {}

local function look_at(kind, id, name, wanted)
  local data = content(name)
  if data and data ~= wanted then rows[#rows + 1] = {name, kind, id, data} end
end

local function look(id, chain)
  chain = chain_of(id) or chain
  look_at('uuid', id, key('uuid', id), chain)
  if not is_anothers(id, chain) then look_at('chain', id, key('chain', chain), id) end
end

if ARGV[3] == '0' then look(root_id) end
local scanned = call('HSCAN', REGISTRY, ARGV[3], 'COUNT', ARGV[4])
for at = 1, #scanned[2], 2 do look(scanned[2][at], scanned[2][at + 1]) end
return {scanned[1], rows}
