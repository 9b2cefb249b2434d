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
  renewed[t.id] = true
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

local function output(initiator, data, fault)
  record(initiator, data)
  set(initiator, 'touched', now)
  local conversation = conversation_of(initiator)
  if not conversation then return end
  if fault then set(conversation, 'verdict', FAILED) end
  set(conversation, 'outputs', conversation.outputs + 1)
  tell(conversation, 'output', data)
end

local function reply(t, answer, dead)
  local parent = parent_of(t)
  local join = parent and parent.join ~= '' and join_of(parent)
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

local function lower(t)
  while t do
    if t.pending == 1 and t.call ~= '' then end_unanswered(t) end
    set(t, 'pending', t.pending - 1)
    if t.pending > 0 then return end
    if is_initiator(t) then end_conversation(t) end  -- E5
    t = parent_of(t)  -- E4
  end
end

return now, slots_per_thread, tally, is_full, deliver, bind, reply, end_conversation, lower, put, output
