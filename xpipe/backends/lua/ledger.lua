-- The rules of a commit, as in xpipe/backends/ledger.py. The ids in comments are rows of docs/semantics.md.

local now, slots_per_thread = tonumber(ARGV[7]), tonumber(ARGV[8])
local late_replies, unanswered = 0, 0

-- Steps come as msgpack arrays, their bytes as strings (redis_wire.py).
local function step_of(data)
  local _, id, fence, call_id, sends, answer, own, again, delegated, join, tell_no_answer, ends, failed, state, dead =
    cmsgpack.unpack_limit(data, 14, 1)
  return {
    thread = id, fence = fence, call = call_id, sends = sends, answer = answer, own = own, again = again,
    delegate = delegated, join = join, no_answer = tell_no_answer, ends = ends, failed = failed, state = state,
    dead = dead,
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
  fetch_threads(ids)
  fetch_bindings(names)
  for _, binding in ipairs(sends) do more[#more + 1] = bindings[binding[2]] or binding[1] end
  for _, step in ipairs(steps) do
    local t = step.answer and threads[step.thread]
    if t then more[#more + 1] = t.parent end
  end
  fetch_threads(more)
end

local function is_full(t)
  return slot_count(t) >= slots_per_thread
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

local function refusal(pump, step)
  local t = thread(step.thread)
  if not t or t.owner ~= pump or t.fence ~= step.fence then return 'stale' end
  if step.again == 0 and overfills(t, step) then return 'slots' end
  return nil
end

local function raise(t)
  while t do
    set(t, 'pending', t.pending + 1)
    if t.pending > 1 then return end
    t = parent_of(t)
  end
end

local function deliver(t, data)
  local index = slot_count(t)
  record(t, data)
  set(t, 'touched', now)
  add_flights(t.conversation, 1)
  raise(t)
  if t.head ~= -1 then return park(t, index) end  -- A10
  set(t, 'head', index)
  if not t.committing then make_ready(t) end
end

local function bind(parent, id, chain, listener, caller, index)
  id = bound_id(chain) or id
  local t = thread(id)
  if t then return t end
  bindings[chain] = id
  local initial = is_initiator(parent) and 1 or 0
  return new_thread(id, chain, listener, caller, parent.id, parent.conversation, index, initial)
end

local function give_up_on(t, message, fault, told_of, attempts)
  bury(message, fault, told_of, t.id, attempts, now)
  local conversation = conversation_of(t)
  if conversation and not told_of then tell(conversation, 'dead', message, '', fault) end
end

local function output(initiator, data, fault)
  record(initiator, data)
  set(initiator, 'touched', now)
  local conversation = conversation_of(initiator)
  if not conversation then return end
  if fault then set(conversation, 'faulted', 1) end
  set(conversation, 'outputs', conversation.outputs + 1)
  tell(conversation, 'output', data)
end

local function record_late(parent, data)
  late_replies = late_replies + 1
  if not parent or is_initiator(parent) or parent.state ~= '' or is_full(parent) then return end
  local fine, marked = pcall(marked_late, data)
  if fine then record(parent, marked) end
end

local function joined(join)
  set(join, 'missing', 0)
  end_join(join)
  deliver(join.thread, join.joined)
end

local function collect(t, join, answer, dead)
  if join.collect == 0 then
    if dead then
      dead[3] = false
    elseif answer.fault then
      give_up_on(t, answer.message, payload_of(answer.message), false, t.attempt)
    end
  elseif not record_result(join, t.index, answer.message) then
    if dead and answer.call == '' then dead[3] = false end
    late_replies = late_replies + 1  -- B4
  elseif join.missing == 0 then
    joined(join)
  end
end

local function reply(t, answer, dead)
  local parent = parent_of(t)
  local join = parent and join_of(parent)
  if join then return collect(t, join, answer, dead) end
  local call_id = answer.call
  if call_id == '' then call_id = parent and call_to(t, parent) or '' end
  if not (parent and close_call(parent, call_id)) then
    if dead and answer.call == '' then dead[3] = false end
    record_late(parent, answer.message)  -- A7
  elseif is_initiator(parent) then
    output(parent, answer.message, answer.fault)  -- A8
  else
    deliver(parent, answer.message)  -- A6
  end
end

local function delegate(t, send)
  local parent, call_id, segment, message, binding = parent_of(t), unpack(send)
  if not parent then return end
  if not join_of(parent) then
    if not open_call(parent, call_id) then
      late_replies = late_replies + 1
      return
    end
    set_call(parent, call_id, segment)
  end
  deliver(bind(parent, binding[1], binding[2], binding[3], binding[4], t.index), message)  -- B7
end

local function end_conversation(t)
  local conversation = conversation_of(t)
  if not conversation or conversation.ended ~= 0 then return end
  set(conversation, 'ended', now)
  ended[#ended + 1] = conversation
  local state = conversation.faulted == 1 and 'failed' or 'done'
  tell(conversation, 'ended', '', state)
end

-- Called while the thread still counts in its parent, so that the parent cannot become quiet.
local function end_unanswered(t)
  local parent, call_id = parent_of(t), t.call
  set(t, 'call', '')
  unanswered = unanswered + 1
  if not parent then return end
  if parent.join == '' and parent.no_answer == 0 then  -- E1
    close_call(parent, call_id)
    return
  end
  local last = envelope(slot(t, slot_count(t) - 1))
  local message = no_answer(t.conversation, t.listener, parent.listener, call_id, last and last.hop or 0)
  reply(t, {call = call_id, message = message, fault = true})  -- E2, E3
end

local function lower(t)
  while t do
    if t.pending == 1 and t.call ~= '' then end_unanswered(t) end
    set(t, 'pending', t.pending - 1)
    if t.pending > 0 then return end
    if is_initiator(t) then end_conversation(t) end  -- E5
    t = parent_of(t)  -- E4
  end
end

local function begin(t, step)
  if step.state then set(t, 'state', step.state) end
  if step.no_answer then set(t, 'no_answer', 1) end
  if step.join then begin_join(t, step.join) end
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
end

local function finish_message(t, step)
  drop_first_message(t)
  set(t, 'attempt', 1)
  set(t, 'call', step.call)
  local answerable = step.call ~= '' or step.answer or step.delegate
  local failed = step.failed or (t.failed == 1 and not answerable)  -- until it gets another call
  set(t, 'failed', failed and 1 or 0)
end

local function commit(step)
  local t = thread(step.thread)
  local attempts, dead = t.attempt, step.dead
  own(t, '')
  set(t, 'deliveries', 0)
  set(t, 'touched', now)
  t.is_renewed = true
  if step.again ~= 0 then
    set(t, 'attempt', step.again)
    return make_ready(t)
  end
  t.committing = true
  finish_message(t, step)
  if step.ends then
    close_calls(t)
    if t.join ~= '' then drop_join(t) end
  end
  begin(t, step)
  send_all(t, step)
  if dead then give_up_on(t, dead[1], dead[2], dead[3], attempts) end
  t.committing = false
  if t.head ~= -1 then make_ready(t) end
  add_flights(t.conversation, -1)
  lower(t)
end

-- B6. `stored` are the ids of the joins whose time had passed before this commit.
local function expire_joins(stored)
  local due = {}
  for id, join in pairs(joins) do
    local at = join.expires
    if at > 0 and at <= now then due[#due + 1] = join end
  end
  for _, id in ipairs(stored) do
    local owner = read('HGET', JOINS, id)
    local t = owner and thread(owner)
    local join = t and t.join == id and join_of(t)
    if join and not join.over and not joins[id] then due[#due + 1] = join end
  end
  table.sort(due, function(one, other)
    if one.expires ~= other.expires then return one.expires < other.expires end
    return one.id < other.id
  end)
  for _, join in ipairs(due) do joined(join) end
end
