-- ARGV: 3 to 6 see calls.lua, 7 now, 8 slots per thread, 9 the name of a source and 10 how far it has been read ('' for
-- none), 11 the dead letter that is replaced ('' for none), then injections: id, chain and name of the initiator, the
-- fault or nil, for each listener the call, its name, the request, the thread's id and chain; and the conversation that
-- is retried. Whether it was done: not if there is no such letter.

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

local function inject(id, chain, name, fault, requests, retried_from)
  new_conversation(id, pump, now, retried_from)
  local initiator = new_thread(id, chain, name, 'system', '', id, -1, 0)
  set(initiator, 'touched', now)
  if fault then output_fault(initiator, fault, id) end  -- F10
  request_all(initiator, requests)
  if initiator.pending == 0 then end_conversation(initiator) end
end

if is_again then return {1} end

local letter, starts = ARGV[11], {}
if letter ~= '' then
  if read('HEXISTS', DEAD, letter) == 0 then return {0} end
  write('HDEL', DEAD, letter)
  write('ZREM', DEAD_TIMES, letter)
end
for at = 12, #ARGV do starts[#starts + 1] = cmsgpack.unpack(ARGV[at]) end
fetch_starts(starts)
for _, start in ipairs(starts) do inject(unpack(start, 1, 6)) end
if ARGV[10] ~= '' then write('HSET', CURSORS, ARGV[9], ARGV[10]) end
write('SET', mark, number, 'EX', MARKED)
flush(known and pump or '', now)  -- A pump of another process, for whom `send` injects, is told too.
return {1}
