-- Claiming.

local ALONE_FROM = 2  -- leases lost; such a message takes no others down with it

-- Four values: the thread, its message, its state, and the rest (read_claim in redis_wire.py).
local function describe(t, pump, told)
  local at = #told
  told[at + 1], told[at + 2], told[at + 3] = t.id, slot(t, t.head) or '', t.state
  told[at + 4] = '\153' .. pack(
    fence_of(pump, t.id), t.chain, t.listener, t.caller, t.call, t.initial == 1, open_segments(t), t.attempt,
    t.deliveries
  )
end

local function claim_ready(pump, room, most)
  local claimed, rest = {}, {}
  for _, t in ipairs(take_ready(room, most)) do
    local alone = t.deliveries >= ALONE_FROM or (claimed[1] and claimed[1].deliveries >= ALONE_FROM)
    if #rest > 0 or (#claimed > 0 and alone) then
      rest[#rest + 1] = t
    else
      set_claim(pump, t.id, t.fence + 1)
      claimed[#claimed + 1] = t
    end
  end
  for at = #rest, 1, -1 do make_ready(rest[at], true) end
  return claimed
end

return describe, claim_ready
