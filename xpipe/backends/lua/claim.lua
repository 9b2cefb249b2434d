-- Claiming.

local ALONE_FROM = 2  -- leases lost; such a message takes no others down with it

local function described(t, pump)
  return {
    t.id, fence_of(pump, t.id), slot(t, t.head), t.chain, t.listener, t.caller, t.call,
    t.initial, open_segments(t), t.state, t.attempt, t.deliveries,
  }
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

return described, claim_ready
