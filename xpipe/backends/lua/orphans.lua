-- ARGV: 3 an index, 4 a cursor, 5 rows, 6 whether what belongs to nothing goes (1). Where the next page begins ('0' for
-- nowhere), and of each orphan the kind, the id, and what it lacks. Conversations and pumps do not go here: what is
-- left of them is more than one call may do.

require_type('hash', COUNTERS, REGISTRY, BOUND, JOINS, LOOSE, SIZES, FLIGHTS)
require_counters()
require_type('zset', THREADS, RUNNING, FINISHED, SETTLED, EXPIRIES, DELAYED)

local checks, removals = {}, {}

local function orphan(kind, id, lacks, remove)
  removals[#removals + 1] = remove
  return {kind, id, lacks}
end

local function entry_unless(known, id, remove)
  if not known then return orphan('index entry', id, 'its data', remove) end
end

function checks.registry(id, chain)
  local has_uuid, has_chain = halves(id, chain)
  local is_thread = exists('thread', id)
  -- The pair of a thread is made whole: that belongs to something.
  local function go() (is_thread and mend or unbind)(id) end
  if has_uuid and not has_chain then return orphan('uuid', id, 'its chain', go) end
  if has_chain and not has_uuid then return orphan('chain', chain, 'its uuid', go) end
  local is_used = is_thread or call('HEXISTS', BOUND, id) == 1
  if has_uuid and not is_used then return orphan('pair', id, 'its thread', go) end
  return entry_unless(has_uuid, id, go)
end

function checks.threads(id)
  return entry_unless(exists('thread', id), id, function()
    call('ZREM', THREADS, id)
    unbind(id)
  end)
end

function checks.conversations(id)
  if not exists('conversation', id) then return orphan('conversation', id, 'its record') end
end

local function of_conversation(index)
  return function(id)
    return entry_unless(call('ZSCORE', CONVERSATIONS, id), id, function() call('ZREM', index, id) end)
  end
end

-- What is counted in an entry.
local function whole(index, id, number)
  return is_whole(number) and tonumber(number) or number_in(index, id)
end

local function counted(index, name)
  return function(id, number)
    number = whole(index, id, number)
    return entry_unless(call('ZSCORE', CONVERSATIONS, id), id, function()
      count(name, -number)
      call('HDEL', index, id)
    end)
  end
end

checks.running, checks.finished = of_conversation(RUNNING), of_conversation(FINISHED)
checks.settled = of_conversation(SETTLED)
checks.sizes, checks.flights = counted(SIZES, 'slots'), counted(FLIGHTS, 'in_flight')

function checks.joins(id, owner)
  local function go()
    call('HDEL', JOINS, id)
    call('ZREM', EXPIRIES, id)
    call('UNLINK', key('join', owner), key('results', owner))
  end
  if not exists('thread', owner) then return orphan('join', id, 'the thread that waits for it', go) end
  return entry_unless(exists('join', owner), id, go)
end

function checks.expiries(id)
  return entry_unless(call('HEXISTS', JOINS, id) == 1, id, function() call('ZREM', EXPIRIES, id) end)
end

function checks.delayed(id)
  return entry_unless(exists('thread', id), id, function() call('ZREM', DELAYED, id) end)
end

function checks.loose(id, slots)
  slots = whole(LOOSE, id, slots)
  return entry_unless(exists('buffer', id), id, function()
    count('slots', -slots)
    call('HDEL', LOOSE, id)
  end)
end

function checks.bound(id)
  return entry_unless(call('HEXISTS', REGISTRY, id) == 1, id, function() unbind(id) end)
end

local function of_pump(id)
  if call('HEXISTS', PUMPS, id) == 0 then return orphan('pump', id, 'its record') end
end

checks.leases, checks.listening = of_pump, of_pump

local SCANS = {hash = 'HSCAN', zset = 'ZSCAN', set = 'SSCAN'}
local scan = SCANS[call('TYPE', prefix .. ARGV[3]).ok]
if not scan then return {'0', {}} end
local scanned, found = call(scan, prefix .. ARGV[3], ARGV[4], 'COUNT', ARGV[5]), {}
local step = scan == 'SSCAN' and 1 or 2
for at = 1, #scanned[2], step do found[#found + 1] = checks[ARGV[3]](scanned[2][at], scanned[2][at + 1]) end
if ARGV[6] == '1' then
  for _, remove in ipairs(removals) do remove() end
end
return {scanned[1], found}
