-- The rules of a commit, as in xpipe/backends/ledger.py. The ids in comments are rows of docs/semantics.md.

local now, slots_per_thread = tonumber(ARGV[7]), tonumber(ARGV[8])
local tally = {late = 0, unanswered = 0}  -- and the thread whose step is being committed

local function is_full(t)
  return slot_count(t) >= slots_per_thread
end

local function raise(t)
  while t do
    set(t, 'pending', t.pending + 1)
    if t.pending > 1 then return end
    t = parent_of(t)
  end
end

-- Has the message in the slot `index` handled.
local function put(t, index)
  set(t, 'touched', now)
  add_flights(t.conversation, 1)
  raise(t)
  if t.head ~= -1 then return park(t, index) end  -- A10
  set(t, 'head', index)
  if t ~= tally.committing then make_ready(t) end
end

local function deliver(t, data)
  local index = slot_count(t)
  record(t, data)
  put(t, index)
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
  if fault then set(conversation, 'verdict', FAILED) end
  set(conversation, 'outputs', conversation.outputs + 1)
  tell(conversation, 'output', data)
end

local function output_fault(initiator, fault, call_id)
  output(initiator, fault_message(initiator.id, 'system', initiator.listener, fault, call_id, 0, now), true)
end

local function record_late(parent, data)
  tally.late = tally.late + 1
  if not parent or is_initiator(parent) or parent.state ~= '' or is_full(parent) then return end
  local fine, marked = pcall(marked_late, data)
  if fine then record(parent, marked) end
end

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

local function end_conversation(t)
  local conversation = conversation_of(t)
  if not conversation or conversation.ended ~= 0 then return end
  set(conversation, 'ended', now)
  ended[#ended + 1] = conversation
  local state = VERDICTS[conversation.verdict + 1] or 'done'
  tell(conversation, 'ended', '', state)
end

-- Called while the thread still counts in its parent, so that the parent cannot become quiet.
local function end_unanswered(t)
  local parent, call_id = parent_of(t), t.call
  set(t, 'call', '')
  tally.unanswered = tally.unanswered + 1
  if not parent then return end
  if parent.join == '' and parent.no_answer == 0 then  -- E1
    close_call(parent, call_id)
    return
  end
  local last = envelope(slot(t, slot_count(t) - 1))
  local message = no_answer(t.conversation, t.listener, parent.listener, call_id, last and last.hop or 0, now)
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

return now, slots_per_thread, tally, is_full, deliver, bind, give_up_on, output_fault, joined, see_to, reply,
  end_conversation, lower
