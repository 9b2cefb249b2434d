-- Threads and conversations: what the rules see of the records.

local threads, conversations, joins = {}, {}, {}
local new_threads, new_conversations, ended = {}, {}, {}
local renewed = {}  -- by id the threads of which more than a count has changed: all their keys are to live on

local function keep_thread(id, data)
  local one = data and thread_of(data)
  threads[id] = one or false
  if one then one.id, one.before = id, one.touched end  -- `before` this commit
end

-- `found` is what is stored under `names`, false for nothing.
local function keep_threads(ids, names, found)
  local fine = pcall(function()
    for at, data in ipairs(found) do keep_thread(ids[at], data) end
  end)
  if fine then return end
  for at, data in ipairs(found) do decoded(names[at], data, thread_of) end
end

local function thread(id)
  if id == '' then return nil end
  if threads[id] == nil then
    local name = key('thread', id)
    keep_threads({id}, {name}, {raw(name)})
  end
  return threads[id] or nil
end

-- Those of `ids` of which `records` has none yet, each once, and their keys.
local function unread(records, kind, ids)
  local wanted, names = {}, {}
  for _, id in ipairs(ids) do
    if id ~= '' and records[id] == nil and not wanted[id] then
      wanted[id] = true
      wanted[#wanted + 1] = id
      names[#names + 1] = key(kind, id)
    end
  end
  return wanted, names
end

-- The strings under `names`, false for what is none.
local function strings_of(names)
  local found = {}
  each_page(names, function(...)
    for _, data in ipairs(call('MGET', ...)) do found[#found + 1] = data end
  end)
  return found
end

-- One command for what a batch will ask for one by one. Which of them had to be read.
local function fetch_threads(ids)
  local wanted, names = unread(threads, 'thread', ids)
  keep_threads(wanted, names, strings_of(names))
  return wanted
end

local function parent_of(t)
  return thread(t.parent)
end

local function is_initiator(t)
  return t.parent == ''
end

local is_blank = {}  -- ids under which there are no slots

-- One command for what would be asked of each of the threads that are going to be made: most of them have no slots.
local function fetch_blanks(ids)
  local names = {}
  for _, id in ipairs(ids) do names[#names + 1] = threads[id] == false and key('buffer', id) or nil end
  local has_slots = false
  each_page(names, function(...) has_slots = has_slots or call('EXISTS', ...) > 0 end)
  for _, id in ipairs(has_slots and {} or ids) do is_blank[id] = threads[id] == false end
end

-- With those that come later it has as many fields as its table has room for: one more would double that.
local function new_thread(id, chain, listener, caller, parent, conversation, index, initial)
  local one = {
    id = id, chain = chain,
    listener = listener, caller = caller, parent = parent, conversation = conversation, index = index,
    seq = next_number(), attempt = 1, deliveries = 0, fence = 0, failed = 0, pending = 0, no_answer = 0, head = -1,
    parked = 0, opens = 0, spilled = 0, few = false, initial = initial, bytes = 0, call = '', state = '', join = '',
    touched = 0, due = 0,
  }
  if is_blank[id] then one.stored, one.added = 0, {} end
  renewed[id] = true
  touch(one)
  threads[id] = one
  new_threads[#new_threads + 1] = one
  return one
end

local bindings = {}

local function bound_id(chain)
  if bindings[chain] == nil then bindings[chain] = read('GET', key('chain', chain)) end
  return bindings[chain]
end

local function fetch_bindings(names)
  local wanted = {}
  for at, chain in ipairs(names) do wanted[at] = key('chain', chain) end
  for at, id in ipairs(strings_of(wanted)) do bindings[names[at]] = id end
end

local function keep_conversation(id, name, data)
  local one = decoded(name, data, conversation_of_data) or false
  conversations[id] = one
  if one then one.id, one.key, one.data_of = id, name, conversation_data end
end

local function conversation_of(t)
  local id = t.conversation
  if conversations[id] == nil then
    local name = key('conversation', id)
    keep_conversation(id, name, raw(name))
  end
  return conversations[id] or nil
end

-- One command for what a batch will ask for one by one.
local function fetch_conversations(ids)
  local wanted, names = unread(conversations, 'conversation', ids)
  for at, data in ipairs(strings_of(names)) do
    if data then keep_conversation(wanted[at], names[at], data) end
  end
end

local function new_conversation(id, owner, now, retried_from)
  local one = {
    id = id, key = key('conversation', id), data_of = conversation_data, seq = next_number(),
    owner = owner, started = now, ended = 0, delivered = 0, verdict = 0, outputs = 0, retried_from = retried_from,
  }
  touch(one)
  conversations[id] = one
  new_conversations[#new_conversations + 1] = one
end

-- Slots and mailbox --------------------------------------------------------------------------------------------------

local function slot_count(t)
  if not t.stored then
    t.stored, t.added = read('LLEN', key('buffer', t.id)), {}
  end
  return t.stored + #t.added
end

local function record(t, data)
  slot_count(t)
  touch(t)
  renewed[t.id] = true
  t.added[#t.added + 1] = data
  set(t, 'bytes', t.bytes + #data)
  add_slots(t.conversation, 1)
end

local function slot(t, index)
  if not t.stored or index < t.stored then return read('LINDEX', key('buffer', t.id), index) end
  return t.added[index - t.stored + 1]
end

local function parked(t)
  t.mailbox = t.mailbox or queue(key('mailbox', t.id), t.parked)
  return t.mailbox
end

local function park(t, index)
  local box = parked(t)
  box.last[#box.last + 1] = index
  set(t, 'parked', t.parked + 1)
end

local function drop_first_message(t)
  if t.parked == 0 then return set(t, 'head', -1) end
  local index = tonumber(take(parked(t), 1)[1])
  if not index then error('XPIPEDAMAGED <' .. key('mailbox', t.id) .. '>', 0) end
  set(t, 'head', index)
  set(t, 'parked', t.parked - 1)
end

local function message_count(t)
  return t.parked + (t.head ~= -1 and 1 or 0)
end

local function drop_messages(t)
  if t.parked > 0 then clear(parked(t)) end
  set(t, 'head', -1)
  set(t, 'parked', 0)
end

local hops = {}  -- new ones, by conversation

local function note_hop(conversation, data)
  if data == '' then return end
  hops[conversation] = hops[conversation] or {}
  table.insert(hops[conversation], data)
end

-- Open calls ---------------------------------------------------------------------------------------------------------

local FEW = 16

local function spilled_call(t, id)
  if t.spilled == 0 and not t.calls then return false end
  t.calls = t.calls or {}
  if t.calls[id] == nil then t.calls[id] = not t.gave_up and read('HGET', key('open', t.id), id) or false end
  return t.calls[id]
end

local function open_call(t, id)
  return t.few and t.few[id] or spilled_call(t, id)
end

local function change_spilled(t, id, segment, delta)
  touch(t)
  t.calls, t.calls_changed = t.calls or {}, t.calls_changed or {}
  t.calls[id] = segment
  t.calls_changed[#t.calls_changed + 1] = id
  t.spilled = t.spilled + delta
end

local function set_call(t, id, segment)
  local there, in_hash = open_call(t, id), spilled_call(t, id)
  if not there then set(t, 'opens', t.opens + 1) end
  if in_hash or (not there and t.opens - t.spilled > FEW) then
    return change_spilled(t, id, segment, in_hash and 0 or 1)
  end
  touch(t)
  t.few = t.few or {}
  t.few[id] = segment
end

local function close_call(t, id)
  if not open_call(t, id) then return false end
  set(t, 'opens', t.opens - 1)
  if t.few and t.few[id] then
    t.few[id] = nil
  else
    change_spilled(t, id, false, -1)
  end
  return true
end

local function close_calls(t)
  if t.opens == 0 then return end
  set(t, 'opens', 0)
  t.few = false
  if t.spilled > 0 then t.spilled, t.gave_up, t.calls, t.calls_changed = 0, true, {}, nil end
end

local function open_calls(t)
  if t.spilled == 0 then return t.few or {} end
  local found, flat = {}, t.gave_up and {} or read('HGETALL', key('open', t.id))
  for at = 1, #flat, 2 do found[flat[at]] = flat[at + 1] end
  for id, segment in pairs(t.calls or {}) do found[id] = segment or nil end
  for id, segment in pairs(t.few or {}) do found[id] = segment end
  return found
end

local function open_segments(t)
  local segments = {}
  for _, segment in pairs(open_calls(t)) do segments[#segments + 1] = segment end
  return segments
end

-- F11: the open call that the caller's thread has to `t`.
local function call_to(t, parent)
  for id, segment in pairs(open_calls(parent)) do
    if string.sub(t.chain, -#segment - 1) == '.' .. segment then return id end
  end
  return nil
end

return threads, joins, new_threads, new_conversations, ended, renewed, thread, fetch_threads, parent_of, is_initiator,
  new_thread, fetch_blanks, bindings, bound_id, fetch_bindings, conversation_of, fetch_conversations, new_conversation,
  slot_count, record, slot, park, drop_first_message, message_count, drop_messages, open_call, set_call, close_call,
  close_calls, open_calls, open_segments, call_to, hops, note_hop
