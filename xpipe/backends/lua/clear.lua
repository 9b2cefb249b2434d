-- ARGV: 3... threads whose slots go, unless their conversation runs. How many had any.

local function runs(t)
  local one = stored(key('conversation', t.conversation), conversation_of_data)
  return one and one.ended == 0
end

local function clear(id)
  local buffer, name = key('buffer', id), key('thread', id)
  local slots, t = call('LLEN', buffer), stored(name, thread_of)
  if slots == 0 or (t and runs(t)) then return 0 end
  count('slots', -slots)
  call('UNLINK', buffer)
  if t then
    t.bytes = 0
    call('SET', name, thread_data(t))
    expire(name)
    if ttl > 0 then call('HINCRBY', SIZES, t.conversation, -slots) end
  else
    call('HDEL', LOOSE, id)
  end
  return 1
end

local cleared = 0
for at = 3, #ARGV do cleared = cleared + clear(ARGV[at]) end
return cleared
