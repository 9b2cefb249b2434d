-- What a step changes, and what the time does, as in xpipe/backends/ledger.py.

-- Steps come as msgpack values one after the other, their bytes as strings; most have but the first ones
-- (redis_wire.py).
local function step_of(data)
  local _, id, fence, call_id, sends, answer, hop, failed, to_itself, again, due, delegated, join, tell_no_answer, ends,
    state, dead, cancels = cmsgpack.unpack_limit(data, 17, 0)
  return {
    thread = id, fence = fence, call = call_id, sends = sends, answer = answer, hop = hop, failed = failed,
    own = to_itself or {}, again = again or 0, due = due, delegate = delegated, join = join,
    no_answer = tell_no_answer, ends = ends, state = state, dead = dead, cancels = cancels,
  }
end

-- What the rules will ask for, in few commands.
local function fetch_all(steps)
  local ids, names, sends, more = {}, {}, {}, {}
  for _, step in ipairs(steps) do
    ids[#ids + 1] = step.thread
    for _, send in ipairs(step.sends) do
      sends[#sends + 1] = send[4]
      names[#names + 1] = send[4][2]
    end
  end
  fetch_claims(pump, ids)
  fetch_threads(ids)
  fetch_bindings(names)
  for _, binding in ipairs(sends) do more[#more + 1] = bindings[binding[2]] or binding[1] end
  local answered = {}
  for _, step in ipairs(steps) do
    local t = step.answer and threads[step.thread]
    if t then
      more[#more + 1] = t.parent
      if t.initial == 1 then answered[#answered + 1] = t.conversation end
    end
  end
  fetch_threads(more)
  fetch_blanks(more)
  fetch_conversations(answered)
end

local function overfills(t, step)
  if #step.own > 0 and slot_count(t) + #step.own > slots_per_thread then return true end
  local answered = step.answer and not step.answer[3] and parent_of(t)
  if answered and answered.join == '' and is_full(answered) then return true end
  for _, one in ipairs(step.sends) do
    local binding = one[4]
    local target = thread(bound_id(binding[2]) or binding[1])
    if target and is_full(target) then return true end
  end
  return false
end

local function refusal(step)
  local t = thread(step.thread)
  local fence = t and fence_of(pump, t.id)
  if not fence or fence ~= step.fence then return 'stale' end
  if step.again == 0 and overfills(t, step) then return 'slots' end
  return nil
end

local function delegate(t, send)
  local parent, call_id, segment, message, binding = parent_of(t), unpack(send)
  if not parent then return end
  if not join_of(parent) then
    if not open_call(parent, call_id) then
      tally.late = tally.late + 1
      return
    end
    set_call(parent, call_id, segment)
  end
  deliver(bind(parent, binding[1], binding[2], binding[3], binding[4], t.index), message)  -- B7
end

-- Takes over what the thread keeps; false when `step` goes on with a join that is over by now (B8).
local function begin(t, step)
  local join = step.join and t.join == step.join[1] and join_of(t)
  if join then
    if join.open == 0 then return false end
    extend_join(join, step.join)
  elseif step.join then
    begin_join(t, step.join)
  end
  if step.state then set(t, 'state', step.state) end
  if step.no_answer then set(t, 'no_answer', 1) end
  return true
end

local function send_all(t, step)
  -- The own mailbox is filled before anything is made ready, so that A10 sees the messages of this step in order.
  for _, data in ipairs(step.own) do deliver(t, data) end
  for _, send in ipairs(step.sends) do
    local binding = send[4]
    if t.join == '' then set_call(t, send[1], send[2]) end
    deliver(bind(t, unpack(binding, 1, 5)), send[3])
  end
  local answer = step.answer
  if answer then reply(t, {call = answer[1], message = answer[2], fault = answer[3]}, step.dead) end
  if step.delegate then delegate(t, step.delegate) end
  if step.join then see_to(join_of(t)) end
end

local function finish_message(t, step)
  drop_first_message(t)
  t.attempt, t.call = 1, step.call
  local answerable = step.call ~= '' or step.answer or step.delegate
  local failed = step.failed or (t.failed == 1 and not answerable)  -- until it gets another call
  t.failed = failed and 1 or 0
end

local function commit(step)
  local t = thread(step.thread)
  local attempts, dead = t.attempt, step.dead
  end_claim(pump, t)
  t.deliveries, t.touched = 0, now
  renewed[t.id] = true
  note_hop(t.conversation, step.hop)
  if step.again ~= 0 then
    set(t, 'attempt', step.again)
    if step.due > now then return delay(t, step.due) end
    return make_ready(t)
  end
  tally.committing = t
  if step.cancels then revoke_below(t) end
  finish_message(t, step)
  if step.ends then give_up(t) end
  if begin(t, step) then send_all(t, step) end
  if dead then give_up_on(t, dead[1], dead[2], dead[3], dead[4] > 0 and dead[4] or attempts) end
  tally.committing = nil
  if t.head ~= -1 then make_ready(t) end
  add_flights(t.conversation, -1)
  lower(t)
end

local function commit_all(first)
  local refused, steps = {}, {}
  for at = first, #ARGV do steps[#steps + 1] = step_of(ARGV[at]) end
  fetch_all(steps)
  for at, step in ipairs(steps) do
    local reason = refusal(step)
    if reason then
      refused[#refused + 1] = at - 1
      refused[#refused + 1] = reason
    else
      commit(step)
    end
  end
  return refused
end

return commit_all
