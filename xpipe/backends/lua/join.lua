-- Joins that no thread waits for. ARGV: 3 create, record, remove or read, 4 the id; create: 5 items; record: 5 the
-- index, 6 the result. read: total, missing and where the results of any open join are.

local verb, id = ARGV[3], ARGV[4]
local terms, results = key('handmade', id), key('handmade-results', id)
local owner = call('HGET', JOINS, id)
local verbs = {}

local function find()
  return owner and stored(owner == '' and terms or key('join', owner), join_of_data)
end

local function keep(join)
  call('SET', terms, join_data(join))
  expire(terms)
end

function verbs.create()
  if owner then return 0 end
  call('HSET', JOINS, id, '')
  local total = tonumber(ARGV[5])
  keep({
    id = id, total = total, missing = total, joined = '', collect = 1, expires = 0, more = '', low = 0, enough = 0,
    spare = -1, faults = 0, feeding = 0, more_at = -1, open = 1,
  })
  return 1
end

function verbs.record()
  local join, index = owner == '' and find(), tonumber(ARGV[5])
  if not join or index < 0 or index >= join.total or call('HEXISTS', results, ARGV[5]) == 1 then return 0 end
  join.missing = join.missing - 1
  keep(join)
  call('HSET', results, ARGV[5], ARGV[6])
  expire(results)
  return 1
end

function verbs.remove()
  if owner ~= '' then return 0 end
  call('UNLINK', terms, results)
  call('HDEL', JOINS, id)
  return 1
end

function verbs.read()
  local join = find()
  if not join then return {} end
  return {join.total, join.missing, owner == '' and results or key('results', owner)}
end

return verbs[verb]()
