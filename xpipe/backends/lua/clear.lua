-- ARGV: 3... threads whose slots go, unless their conversation runs. How many had any. Outputs that go with them count as
-- delivered.

require_type('hash', COUNTERS, LOOSE, SIZES)
require_counters()

local function found(id)
  local slots, t = call('LLEN', key('buffer', id)), stored(key('thread', id), thread_of)
  local conversation = t and stored(key('conversation', t.conversation), conversation_of_data)
  if slots == 0 or (conversation and conversation.ended == 0) then return nil end
  if t then number_in(SIZES, t.conversation) end
  return {id = id, slots = slots, thread = t, conversation = conversation}
end

local function clear_thread(one)
  local t, name = one.thread, key('thread', one.id)
  t.bytes = 0
  store(name, thread_data(t))
  if ttl > 0 then call('HINCRBY', SIZES, t.conversation, -one.slots) end
  if t.parent == '' and one.conversation then
    deliver_all({{t.conversation, one.conversation, one.conversation.outputs}})
  end
end

local known, full = {}, {}
for at = 3, #ARGV do
  local one = not known[ARGV[at]] and found(ARGV[at])
  known[ARGV[at]] = true
  if one then full[#full + 1] = one end
end
for _, one in ipairs(full) do
  count('slots', -one.slots)
  call('UNLINK', key('buffer', one.id))
  if one.thread then clear_thread(one) else call('HDEL', LOOSE, one.id) end
end
return #full
