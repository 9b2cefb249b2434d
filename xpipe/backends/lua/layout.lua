-- What is kept of a thread, a conversation and a join: msgpack values in a string. Before those of a thread come its
-- numbers, packed together, which takes half the time.
-- Of a thread: `few` has its open calls, but for the `spilled` ones of a thread with many, which are in a hash.
-- `initial`: its caller is an initiator; `head`: the slot of its first message, -1 for none; `parked`: how many wait;
-- `touched`: when something last happened in it; `due`: when it is to be ready, 0 for now; `fence`: that of its
-- last claim that is over: what is claimed now is in claimed:{pump} alone, so that a claim need not write the record.
-- Of a join: see JoinState in xpipe/backends/records.py.

local pack = cmsgpack.pack
local VERDICTS, FAILED, CANCELLED = {'done', 'failed', 'cancelled'}, 1, 2  -- how a conversation ends, counted from 0
local PACKED, MARK = '>I2i4I7I4I4I4BI4Bi4I4I4I7BI4dd', 30832
local PACKED_SIZE = struct.size(PACKED)

-- What `data`, stored under `name`, says; nothing if there is nothing.
local function decoded(name, data, decode)
  if not data then return nil end
  local fine, one = pcall(decode, data)
  if not fine then error('XPIPEDAMAGED <' .. name .. '>', 0) end
  return one
end

-- The string under `name`. What is of another type is damaged.
local function raw(name)
  local data = redis.pcall('GET', name)
  if type(data) == 'table' then error('XPIPEDAMAGED <' .. name .. '>', 0) end
  return data
end

local function stored(name, decode)
  return decoded(name, raw(name), decode)
end

-- The decoders fail unless all is there and of the type it must be: they add up the numbers and lengths.

local function thread_of(data)
  local mark, index, seq, attempt, deliveries, fence, failed, pending, no_answer, head, parked, opens, bytes, initial,
    spilled, touched, due = struct.unpack(PACKED, data)
  local left, conversation, parent, listener, caller, call_id, state, join, chain, few =
    cmsgpack.unpack_limit(data, 9, PACKED_SIZE)
  local _ = #conversation + #parent + #listener + #caller + #call_id + #state + #join + #chain
  assert(mark == MARK and left == -1 and (few == false or type(few) == 'table'))
  assert(failed <= 1 and no_answer <= 1 and initial <= 1 and index >= -1 and head >= -1)
  return {
    conversation = conversation, parent = parent, listener = listener, caller = caller, index = index, seq = seq,
    attempt = attempt, call = call_id, deliveries = deliveries, fence = fence, failed = failed,
    pending = pending, no_answer = no_answer, state = state, join = join, head = head, parked = parked, opens = opens,
    bytes = bytes, chain = chain, initial = initial, spilled = spilled, few = few, touched = touched, due = due,
  }
end

local function thread_data(t)
  local numbers = struct.pack(
    PACKED, MARK, t.index, t.seq, t.attempt, t.deliveries, t.fence, t.failed, t.pending, t.no_answer, t.head,
    t.parked, t.opens, t.bytes, t.initial, t.spilled, t.touched, t.due
  )
  return numbers .. pack(
    t.conversation, t.parent, t.listener, t.caller, t.call, t.state, t.join, t.chain,
    t.few and next(t.few) and t.few or false
  )
end

local function conversation_of_data(data)
  local left, owner, started, ended, delivered, verdict, outputs, retried_from = cmsgpack.unpack_limit(data, 7, 0)
  local _ = #owner + started + ended + delivered + verdict + outputs + #retried_from
  assert(left == -1)
  return {
    owner = owner, started = started, ended = ended, delivered = delivered, verdict = verdict, outputs = outputs,
    retried_from = retried_from,
  }
end

local function conversation_data(one)
  return pack(one.owner, one.started, one.ended, one.delivered, one.verdict, one.outputs, one.retried_from)
end

local function is_settled(one)  -- it is over, and its outputs are delivered
  return one.ended ~= 0 and one.delivered >= one.outputs
end

local function join_of_data(data)
  local left, id, total, missing, joined, collect, expires, more, low, enough, spare, faults, feeding, more_at, open =
    cmsgpack.unpack_limit(data, 14, 0)
  local _ = #id + total + missing + #joined + collect + expires + #more + low + enough + spare + faults + feeding
    + more_at + open
  assert(left == -1)
  return {
    id = id, total = total, missing = missing, joined = joined, collect = collect, expires = expires, more = more,
    low = low, enough = enough, spare = spare, faults = faults, feeding = feeding, more_at = more_at, open = open,
  }
end

local function join_data(join)
  return pack(
    join.id, join.total, join.missing, join.joined, join.collect, join.expires, join.more, join.low, join.enough,
    join.spare, join.faults, join.feeding, join.more_at, join.open
  )
end

return pack, decoded, raw, stored, thread_of, thread_data, conversation_of_data, conversation_data, is_settled,
  join_of_data, join_data, VERDICTS, FAILED, CANCELLED
