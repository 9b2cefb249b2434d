-- ARGV: 3 to 6 see calls.lua, 7 now, 8 slots per thread, 9 the name of a source and 10 how far it has been read ('' for
-- none), then injections: id, chain and name of the initiator, the fault message or nil, and for each listener the
-- call, its name, the request, the thread's id and chain.

local function request_all(initiator, requests)
  for _, one in ipairs(requests) do
    local call_id, to, message, id, chain = unpack(one)
    set_call(initiator, call_id, string.sub(chain, #initiator.chain + 2))
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
  set(initiator, 'touched', now)
  if fault then output(initiator, fault, true) end  -- F10
  request_all(initiator, requests)
  if initiator.pending == 0 then end_conversation(initiator) end
end

if not is_again then
  local starts = {}
  for at = 11, #ARGV do starts[#starts + 1] = cmsgpack.unpack(ARGV[at]) end
  fetch_starts(starts)
  for _, start in ipairs(starts) do inject(unpack(start, 1, 5)) end
  if ARGV[10] ~= '' then write('HSET', CURSORS, ARGV[9], ARGV[10]) end
  write('SET', mark, number, 'EX', MARKED)
  flush(known and pump or '')  -- A pump of another process, for whom `send` injects, is told too.
end
return {1}
