-- The rules of a join, as in xpipe/backends/ledger.py.

local function joined(join)
  end_join(join)
  if join.collect == 1 then deliver(join.thread, join.joined) end
end

-- B9: by the same slot each time, as there may be very many times.
local function feed(join)
  set(join, 'feeding', 1)
  if join.more_at >= 0 then return put(join.thread, join.more_at) end
  set(join, 'more_at', slot_count(join.thread))
  deliver(join.thread, join.more)
end

-- Tells its thread if it is over, or has too few items under way.
local function see_to(join)
  if join.open == 0 then return end
  if is_over(join) then
    joined(join)
  elseif is_hungry(join) then
    feed(join)
  end
end

local function collect(t, join, answer, dead)
  if join.collect == 0 then
    if dead then
      dead[3] = false
    elseif answer.fault then
      give_up_on(t, answer.message, payload_of(answer.message), false, t.attempt)
    end
  elseif join.open == 0 or not record_result(join, t.index, answer.message) then
    if dead and answer.call == '' then dead[3] = false end
    tally.late = tally.late + 1  -- B4
    return
  end
  if join.open == 0 then return end
  count_result(join, answer.fault)
  see_to(join)
end

return joined, see_to, collect
