-- ARGV: 3 the layout that is known here, 4 the root's chain or '' for whatever is there, 5 a secret and 6 the root's id
-- for a new organism. What is there then: layout, root, secret, root's id, TTL; nothing if there is nothing.
-- The TTL is that of whoever opened it by its name; one who only looks in must keep to it.

local layout, root, wanted = ARGV[3], ARGV[4], tonumber(ARGV[2])
local secret = call('GET', prefix .. 'secret') or ''
local found = call('HMGET', KEYS[1], 'root', 'root_id', 'layout', 'ttl')
if not found[1] then
  if root == '' then return {} end
  call('SET', prefix .. 'secret', ARGV[5])
  call('HSET', KEYS[1], 'root', root, 'root_id', ARGV[6], 'layout', layout)
  found, secret = {root, ARGV[6], layout, false}, ARGV[5]
end
if not tonumber(found[3] or 0) then error('XPIPEDAMAGED <' .. KEYS[1] .. ' layout>', 0) end
local kept = root == '' and tonumber(found[4] or '') or wanted
keep_for(kept)
if found[3] == layout and (root == '' or root == found[1]) then
  if root ~= '' then call('HSET', KEYS[1], 'ttl', wanted) end
  mend_pair(found[2], found[1])
end
return {tonumber(found[3] or 0), found[1], secret, found[2], kept}
