-- ARGV: 3 slots per thread, 4 token, 5 pump, 6 now, then injections: id, chain and name of the initiator, the fault
-- message or nil, and for each listener the call, its name, the request, the thread's id and chain.
-- How many threads there are then; the token of a call whose answer was lost does nothing.

local token, pump, now = ARGV[4], ARGV[5], tonumber(ARGV[6])
local last = key('reply', pump)

local function request_all(initiator, requests)
  for _, one in ipairs(requests) do
    local call_id, to, message, id, chain = unpack(one)
    set_call(initiator, call_id, to)
    local send = {id = id, chain = chain, listener = to, caller = initiator.listener, index = -1}
    deliver(bind(send, initiator), message)
  end
end

local function inject(id, chain, name, fault, requests)
  new_conversation(id, pump, now)
  local initiator = new_thread(id, chain, name, 'system', '', id, -1)
  if fault then output(initiator, fault, true) end  -- F10
  request_all(initiator, requests)
  if initiator.pending == 0 then end_conversation(initiator, now) end
end

if read('HGET', last, 'injected') ~= token then
  for at = 7, #ARGV do inject(unpack(cmsgpack.unpack(ARGV[at]), 1, 5)) end
  write('HSET', last, 'injected', token)
  flush(pump)
end
return call('ZCARD', THREADS)
