-- ARGV: 3 slots per thread, 4 token, 5 pump, 6 now, then injections: id, chain and name of the initiator, the fault
-- message or nil, and for each listener the call, its name, the request, the thread's id and chain.
-- How many threads there are then; the token of a call whose answer was lost does nothing.

local token, pump, now = ARGV[4], ARGV[5], tonumber(ARGV[6])
local last = key('reply', pump)

local function request_all(initiator, requests)
  for _, one in ipairs(requests) do
    local call_id, to, message, id, chain = unpack(one)
    set_call(initiator, call_id, to)
    deliver(bind(initiator, id, chain, to, initiator.listener, -1), message)
  end
end

local function fetch_starts(starts)
  local ids, names = {}, {}
  for _, start in ipairs(starts) do
    for _, one in ipairs(start[5]) do
      ids[#ids + 1] = one[4]
      names[#names + 1] = one[5]
    end
  end
  fetch_bindings(names)
  fetch_threads(ids)
end

local function inject(id, chain, name, fault, requests)
  new_conversation(id, pump, now)
  local initiator = new_thread(id, chain, name, 'system', '', id, -1, 0)
  if fault then output(initiator, fault, true) end  -- F10
  request_all(initiator, requests)
  if initiator.pending == 0 then end_conversation(initiator, now) end
end

if read('HGET', last, 'injected') ~= token then
  local starts = {}
  for at = 7, #ARGV do starts[#starts + 1] = cmsgpack.unpack(ARGV[at]) end
  fetch_starts(starts)
  for _, start in ipairs(starts) do inject(unpack(start, 1, 5)) end
  write('HSET', last, 'injected', token)
  flush(pump)
end
return call('ZCARD', THREADS)
