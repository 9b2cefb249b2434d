-- ARGV: 3 slots per thread, 4 token, 5 pump, 6 now, 7 most, 8 how many listeners, then name and room of each, then
-- steps. A token that is known is that of a call whose answer was lost on its way: the answer is given again.

local token, pump, now, most, listeners = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local inbox, last = key('inbox', pump), key('reply', pump)

local function due()
  return call('ZRANGE', EXPIRIES, 0, 0, 'WITHSCORES')[2] or '0'
end

local function again(given, claimed, refused, late_then, unanswered_then)
  local described_again = {}
  local flat = cmsgpack.unpack(claimed)
  for at = 1, #flat, 2 do
    local t = thread(flat[at])
    if t and t.owner == pump and t.fence == flat[at + 1] then described_again[#described_again + 1] = described(t) end
  end
  local events = call('LRANGE', inbox, 0, tonumber(given) - 1)
  return {
    cmsgpack.unpack(refused), described_again, events, due(), tonumber(late_then), tonumber(unanswered_then),
  }
end

local kept = read('HMGET', last, 'token', 'given', 'claims', 'refused', 'late', 'unanswered')
if kept[1] == token then return again(unpack(kept, 2, 6)) end
local given = tonumber(kept[2] or 0)

local room = {}
for at = 9, 8 + 2 * listeners, 2 do room[ARGV[at]] = tonumber(ARGV[at + 1]) end
local first_step = 9 + 2 * listeners

local expired = read('ZRANGEBYSCORE', EXPIRIES, '-inf', exact(now))
local events = read('LRANGE', inbox, given, -1)
local refused, steps = {}, {}
for at = first_step, #ARGV do steps[#steps + 1] = step_of(ARGV[at]) end
fetch_all(steps)
for at, step in ipairs(steps) do
  local reason = refusal(pump, step)
  if reason then
    refused[#refused + 1] = at - 1
    refused[#refused + 1] = reason
  else
    commit(step, now)
  end
end
expire_joins(expired, now)

local claimed, descriptions, kept_claims = claim_ready(pump, room, most), {}, {}
for at, t in ipairs(claimed) do
  descriptions[at] = described(t)
  kept_claims[2 * at - 1], kept_claims[2 * at] = t.id, t.fence
end
for _, value in ipairs(told[pump] or {}) do events[#events + 1] = value end

if given > 0 then write('LTRIM', inbox, given, -1) end
if given > 0 or #events > 0 or #claimed > 0 or #ARGV >= first_step then
  write('HSET', last, 'token', token, 'given', #events, 'claims', pack(kept_claims), 'refused', pack(refused),
    'late', late_replies, 'unanswered', unanswered)
end
flush(pump)
return {refused, descriptions, events, due(), late_replies, unanswered}
