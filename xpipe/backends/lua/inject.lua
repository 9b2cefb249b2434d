-- ARGV: 3 to 6 see calls.lua, 7 now, 8 slots per thread, 9 the name of a source ('' for none), 10 its new cursor and 11
-- the one it must have now ('' for none), 12 the dead letter that is replaced ('' for none), 13 what the numbers of the
-- initiators were told from: for each source its name, how many it gets, and the last one known; nothing if they are
-- reserved. Then injections: id, chain and name of the initiator, the fault or nil, for each listener the call, its
-- name, the request, the thread's id and chain; the conversation that is retried; the message for the dead letter of
-- what was rejected, or nil. Whether it was done: not if there is
-- no such letter, the source has another cursor, or a number is taken; then as many are reserved, and of each source the
-- last one before them follows.

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
    ids[#ids + 1] = start[1]
    for _, one in ipairs(start[5]) do
      ids[#ids + 1] = one[4]
      names[#names + 1] = one[5]
    end
  end
  fetch_bindings(names)
  fetch_threads(ids)
  fetch_blanks(ids)
end

local function inject(id, chain, name, fault, requests, retried_from, rejected)
  new_conversation(id, pump, now, retried_from)
  local initiator = new_thread(id, chain, name, 'system', '', id, -1, 0)
  set(initiator, 'touched', now)
  if fault then output_fault(initiator, fault, id) end  -- F10
  if rejected then bury(rejected, fault, true, id, 0, now) end
  request_all(initiator, requests)
  if initiator.pending == 0 then end_conversation(initiator) end
end

-- Of each source the number before those that are reserved; nothing if the guess is right, which is taken then.
local function reserved(guess)
  local is_right, before = true, {}
  for at = 1, #guess, 3 do
    local last = number_of(read('HGET', NUMBERS, guess[at]), NUMBERS, guess[at])
    is_right = is_right and last == guess[at + 2]
  end
  for at = 1, #guess, 3 do
    if is_right then
      write('HSET', NUMBERS, guess[at], guess[at + 2] + guess[at + 1])
    else
      before[#before + 1] = call('HINCRBY', NUMBERS, guess[at], guess[at + 1]) - guess[at + 1]
    end
  end
  return not is_right and before
end

if is_again then return {1} end

if ARGV[9] ~= '' and (read('HGET', CURSORS, ARGV[9]) or '') ~= ARGV[11] then return {0} end
local letter, starts = ARGV[12], {}
if letter ~= '' then
  if read('HEXISTS', DEAD, letter) == 0 then return {0} end
  write('HDEL', DEAD, letter)
  write('ZREM', DEAD_TIMES, letter)
end
local before = reserved(cmsgpack.unpack(ARGV[13]))
if before then return {0, unpack(before)} end
for at = 14, #ARGV do starts[#starts + 1] = cmsgpack.unpack(ARGV[at]) end
fetch_starts(starts)
for _, start in ipairs(starts) do inject(unpack(start, 1, 7)) end
if ARGV[9] ~= '' then write('HSET', CURSORS, ARGV[9], ARGV[10]) end
write('SET', mark, number, 'EX', MARKED)
flush(known and pump or '', now)  -- A pump of another process, for whom `send` injects, is told too.
return {1}
