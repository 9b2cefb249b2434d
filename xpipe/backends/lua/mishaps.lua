-- The rules of what goes wrong, as in xpipe/backends/ledger.py.

local function give_up_on(t, message, fault, told_of, attempts)
  bury(message, fault, told_of, t.id, attempts, now)
  local conversation = conversation_of(t)
  if conversation and not told_of then tell(conversation, 'dead', message, '', fault) end
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

return give_up_on, output_fault, record_late, end_unanswered
