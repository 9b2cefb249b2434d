-- ARGV: 3 a conversation ('' if it is not known), 4 the time, then of each damaged record in it the key, the id, what is
-- stored there, and the fault of the dead letter that keeps it. The conversation goes if it runs, or if its own record or
-- that of its initiator is damaged; else only the damaged threads go. Whether there was anything left to do.

if call('EXISTS', ARGV[5]) == 0 then return 0 end

local id, now = ARGV[3], tonumber(ARGV[4])
local spoilt, letters = {}, {}
for at = 5, #ARGV, 4 do
  spoilt[ARGV[at + 1]] = true
  letters[#letters + 1] = {thread = ARGV[at + 1], data = ARGV[at + 2], fault = ARGV[at + 3]}
end

local is_running = read('ZSCORE', RUNNING, id)
local is_whole = is_running or spoilt[id]
local gone, is_gone = {}, {}

local function add(thread)
  if not is_gone[thread] then gone[#gone + 1] = thread end
  is_gone[thread] = true
end

local function those_gone(ids)
  local found = {}
  for _, one in ipairs(ids) do
    if is_gone[one] then found[#found + 1] = one end
  end
  return found
end

-- What follows needs no record of a thread. How many messages were ready.
local function clear_lanes()
  local ready = 0
  for _, name in ipairs(listed_lanes()) do
    local found = those_gone(read('LRANGE', key('ready', name), 0, -1))
    if #found > 0 then drop_ready(name, found) end
    ready = ready + #found
  end
  return ready
end

-- How many messages were claimed.
local function clear_claims()
  local claimed = 0
  for pump in each_claimant() do
    local name = key('claimed', pump)
    local found = those_gone(read('HKEYS', name))
    write_all('HDEL', name, found)
    claimed = claimed + #found
  end
  return claimed
end

-- How many messages were delayed.
local function clear_delayed()
  local found = {}
  for _, thread in ipairs(gone) do
    if read('ZSCORE', DELAYED, thread) then found[#found + 1] = thread end
  end
  write_all('ZREM', DELAYED, found)
  return #found
end

local function count_parked()
  local parked_ones = 0
  for _, thread in ipairs(gone) do parked_ones = parked_ones + length_of(key('mailbox', thread)) end
  return parked_ones
end

local function count_slots()
  local slots = 0
  for _, thread in ipairs(gone) do slots = slots + length_of(key('buffer', thread)) end
  return slots
end

local function clear_joins()
  local all = read('HGETALL', JOINS)
  for at = 1, #all, 2 do
    if is_gone[all[at + 1]] then
      write('HDEL', JOINS, all[at])
      write('ZREM', EXPIRIES, all[at])
    end
  end
end

-- Whose it is cannot be told if its own record is damaged; then everybody hears of it, so that nobody waits for ever.
local function tell_owner()
  local fine, conversation = pcall(conversation_of, {conversation = id})
  local owners = fine and conversation and {conversation.owner} or read('HKEYS', PUMPS)
  for _, owner in ipairs(owners) do
    local one = {id = id, owner = owner}
    for _, letter in ipairs(letters) do tell(one, 'dead', letter.data, '', letter.fault) end
    tell(one, 'ended', '', 'failed')
  end
end

for thread in pairs(spoilt) do add(thread) end
local members = key('members', id)
for _, thread in ipairs(is_whole and read('LRANGE', members, 0, -1) or {}) do add(thread) end
for _, one in ipairs(letters) do bury(one.data, one.fault, true, one.thread, 0, now) end
if is_running then tell_owner() end
local in_flight = clear_lanes() + clear_claims() + clear_delayed() + count_parked()
local slots = count_slots()
if id ~= '' or ttl == 0 then  -- Else it is as if they had expired.
  add_flights(id, -in_flight)
  add_slots(id, -slots)
end
clear_joins()
for _, thread in ipairs(is_whole and {} or gone) do write('LREM', members, 0, thread) end
flush('')
drop_all(gone)
if is_whole then
  call('UNLINK', members)
  drop_conversation(id)
end
return 1
