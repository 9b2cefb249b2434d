-- ARGV: 3 to 6 see calls.lua, 7 now, 8 slots per thread, 9 most, 10 the room of listeners by name, then steps. What a
-- call has answered is kept until the next one, to be answered again.

local FIRST_STEP = 11
local most, room = tonumber(ARGV[9]), cmsgpack.unpack(ARGV[10])
local inbox, last = key('inbox', pump), key('reply', pump)

local times = {}  -- the first one in an index, '' for none

local function first_time(index)
  times[index] = times[index] or read('ZRANGE', index, 0, 0, 'WITHSCORES')[2] or ''
  return tonumber(times[index])
end

-- What is due in an index now.
local function due_in(index, ...)
  local first = first_time(index)
  return first and first <= now and read('ZRANGEBYSCORE', index, '-inf', exact(now), ...) or {}
end

-- When the next join expires or the next thread is due, '0' for never.
local function due()
  local first = math.huge
  for _, index in ipairs({EXPIRIES, DELAYED}) do
    if is_moved[index] then times[index] = nil end
    first = math.min(first, first_time(index) or first)
  end
  return first < math.huge and exact(first) or '0'
end

local function again(given, claimed, refused, late_then, unanswered_then)
  local described_again = {}
  local flat = cmsgpack.unpack(claimed)
  for at = 1, #flat, 2 do
    local t = thread(flat[at])
    if t and fence_of(pump, t.id) == flat[at + 1] then describe(t, pump, described_again) end
  end
  local events = call('LRANGE', inbox, 0, tonumber(given) - 1)
  return {
    1, cmsgpack.unpack(refused), described_again, events, due(), tonumber(late_then), tonumber(unanswered_then),
    flight_count(),
  }
end

local kept_answer = is_again and call('HMGET', last, 'given', 'claims', 'refused', 'late', 'unanswered')
if kept_answer and kept_answer[1] then return again(unpack(kept_answer)) end
if is_again then return {1, {}, {}, {}, due(), 0, 0, flight_count()} end  -- It was buried meanwhile.

local function keep_answer(given, claimed, refused)
  local flat = {}
  for at, t in ipairs(claimed) do flat[2 * at - 1], flat[2 * at] = t.id, fence_of(pump, t.id) end
  write('HSET', last, 'given', given, 'claims', pack(flat), 'refused', pack(refused), 'late', tally.late,
    'unanswered', tally.unanswered)
  write('SET', mark, number, 'EX', MARKED)
  if ttl > 0 then write('EXPIRE', last, DAY) end
  if not is_enrolled(pump) then write('SADD', LISTENING, pump) end  -- So that its keys can be found.
end

local given = tonumber(read('HGET', last, 'given') or 0)

local expired, delayed = due_in(EXPIRIES), due_in(DELAYED, 'LIMIT', 0, PAGE)
local events = read('LRANGE', inbox, given, -1)
local refused = commit_all(FIRST_STEP)
if #expired > 0 or next(joins) then expire_joins(expired) end
if #delayed > 0 then wake_delayed(delayed) end

local claimed, descriptions = is_enrolled(pump) and claim_ready(pump, room, most) or {}, {}
for _, t in ipairs(claimed) do describe(t, pump, descriptions) end
for _, value in ipairs(told[pump] or {}) do events[#events + 1] = value end

local changes = given > 0 or #events > 0 or #claimed > 0 or #ARGV >= FIRST_STEP
if given > 0 then write('LTRIM', inbox, given, -1) end
if changes then keep_answer(#events, claimed, refused) end
local in_flight = flight_count()
flush(pump, now)
return {changes and 1 or 0, refused, descriptions, events, due(), tally.late, tally.unanswered, in_flight}
