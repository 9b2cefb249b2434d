-- Giving up what is under way below a thread, as in xpipe/backends/scopes.py.

local function give_up(t)
  close_calls(t)
  drop_join(t)
end

-- How many threads right below `t` are pending.
local function pending_below(t)
  return t.pending - message_count(t)
end

-- The ids of the threads of its conversation that were made after `t`, oldest first.
local function younger_than(t)
  local name, newest, last, ids = key('members', t.conversation), {}, -1, {}
  repeat
    local page, is_there = read('LRANGE', name, last - PAGE + 1, last), false
    for at = #page, 1, -1 do
      is_there = is_there or page[at] == t.id
      if not is_there then newest[#newest + 1] = page[at] end
    end
    last = last - PAGE
  until is_there or #page < PAGE
  for at = #newest, 1, -1 do ids[#ids + 1] = newest[at] end
  for _, one in ipairs(new_threads) do
    if one.conversation == t.conversation then ids[#ids + 1] = one.id end
  end
  return ids
end

-- Takes the messages of `t` from where they wait; notes in `ready` if it stands in a queue.
local function revoke(t, ready)
  local pump = t.head ~= -1 and t.due == 0 and claimant(t.id)
  if pump then
    tell_pump(pump, t.conversation, 'revoked', '', t.id)
    end_claim(pump, t)  -- The step of whoever has claimed it comes too late.
  elseif t.due ~= 0 then
    undelay(t)
  elseif t.head ~= -1 then
    ready[t.listener] = ready[t.listener] or {}
    table.insert(ready[t.listener], t.id)
  end
  add_flights(t.conversation, -message_count(t))
  drop_messages(t)
  set(t, 'attempt', 1)
  set(t, 'deliveries', 0)
end

local function end_revoked(t)
  give_up(t)
  set(t, 'pending', 0)
  set(t, 'call', '')
  set(t, 'failed', 1)
end

-- Its own messages stay.
local function revoke_below(top)
  local below, left, ready = {[top.id] = true}, pending_below(top), {}
  each_page(left > 0 and younger_than(top) or {}, function(...)
    if left == 0 then return end
    local fresh = fetch_threads({...})
    fetch_claims_of_all({...})
    for _, id in ipairs({...}) do
      local t = threads[id]
      if t and t.pending > 0 and below[t.parent] then
        below[id], left = true, left - 1 + pending_below(t)
        revoke(t, ready)
        end_revoked(t)
      elseif fresh[id] then
        threads[id] = nil  -- There may be very many.
      end
    end
  end)
  for name, ids in pairs(ready) do drop_ready(name, ids) end
  give_up(top)
  set(top, 'pending', message_count(top))
end

return give_up, revoke_below
