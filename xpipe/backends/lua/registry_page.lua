-- ARGV: 3 cursor, 4 rows. Where the next page begins ('0' for nowhere), and id, chain and kind of each pair, '' in the
-- place of a half that is not there.

local function row(id, chain)
  local has_uuid, has_chain = halves(id, chain)
  if not has_uuid and not has_chain then return nil end
  if not has_uuid or not has_chain then return {has_uuid and id or '', has_chain and chain or '', 'orphan'} end
  if exists('thread', id) then return {id, chain, 'thread'} end
  return {id, chain, call('HEXISTS', BOUND, id) == 1 and 'bound' or 'orphan'}
end

local scanned, rows = call('HSCAN', REGISTRY, ARGV[3], 'COUNT', ARGV[4]), {}
for at = 1, #scanned[2], 2 do rows[#rows + 1] = row(scanned[2][at], scanned[2][at + 1]) end
return {scanned[1], rows}
