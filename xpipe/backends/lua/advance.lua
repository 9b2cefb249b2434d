-- ARGV: 3 to 6 see calls.lua, 7 now, 8 slots per thread, 9 most, 10 how many listeners, then name and room of each,
-- then steps. What a call has answered is kept until the next one, to be answered again.

local most, listeners = tonumber(ARGV[9]), tonumber(ARGV[10])
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
    1, cmsgpack.unpack(refused), described_again, events, due(), tonumber(late_then), tonumber(unanswered_then),
  }
end

local kept_answer = is_again and call('HMGET', last, 'given', 'claims', 'refused', 'late', 'unanswered')
if kept_answer and kept_answer[1] then return again(unpack(kept_answer)) end
if is_again then return {1, {}, {}, {}, due(), 0, 0} end  -- It was buried meanwhile.

local function keep_answer(given, claimed, refused)
  local flat = {}
  for at, t in ipairs(claimed) do flat[2 * at - 1], flat[2 * at] = t.id, t.fence end
  write('HSET', last, 'given', given, 'claims', pack(flat), 'refused', pack(refused), 'late', late_replies,
    'unanswered', unanswered)
  write('SET', mark, number, 'EX', MARKED)
  if ttl > 0 then write('EXPIRE', last, DAY) end
  if not is_enrolled(pump) then write('SADD', LISTENING, pump) end  -- So that its keys can be found.
end

local function commit_all(first)
  local refused, steps = {}, {}
  for at = first, #ARGV do steps[#steps + 1] = step_of(ARGV[at]) end
  fetch_all(steps)
  for at, step in ipairs(steps) do
    local reason = refusal(pump, step)
    if reason then
      refused[#refused + 1] = at - 1
      refused[#refused + 1] = reason
    else
      commit(step)
    end
  end
  return refused
end

local given = tonumber(read('HGET', last, 'given') or 0)
local room, first_step = {}, 11 + 2 * listeners
for at = 11, 10 + 2 * listeners, 2 do room[ARGV[at]] = tonumber(ARGV[at + 1]) end

local expired = read('ZRANGEBYSCORE', EXPIRIES, '-inf', exact(now))
local events = read('LRANGE', inbox, given, -1)
local refused = commit_all(first_step)
expire_joins(expired)

local claimed, descriptions = is_enrolled(pump) and claim_ready(pump, room, most) or {}, {}
for at, t in ipairs(claimed) do descriptions[at] = described(t) end
for _, value in ipairs(told[pump] or {}) do events[#events + 1] = value end

local changes = given > 0 or #events > 0 or #claimed > 0 or #ARGV >= first_step
if given > 0 then write('LTRIM', inbox, given, -1) end
if changes then keep_answer(#events, claimed, refused) end
flush(pump)
return {changes and 1 or 0, refused, descriptions, events, due(), late_replies, unanswered}
