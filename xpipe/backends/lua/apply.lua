-- Applies a batch as a whole, if this node is registered and it is its next one. Knows no rule: what is written was
-- decided by the home; what is looked at here is who has what.
local call = redis.call
local p, node, number, outside, life = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local batch, sizes, injected = cmsgpack.unpack(ARGV[6]), ARGV[7], ARGV[8]
local organism = p .. 'organism'
local at = 9

local function counts()
  local first = call('ZRANGEBYSCORE', p .. 'due', '(0', '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local wanted = call('HGETALL', p .. 'wanted')
  local others = {}
  for i = 1, #wanted, 2 do
    if wanted[i] ~= node then others[#others + 1] = wanted[i + 1] end
  end
  return {
    call('HMGET', p .. 'counters', 'in_flight', 'threads', 'slots'),
    call('HGET', organism, 'outside') or '0',
    call('HLEN', p .. 'nodes'),
    call('LLEN', p .. 'queue') + call('SCARD', p .. 'graves'),
    first[2] or '0',
    call('HGETALL', p .. 'offered'),
    others,
  }
end

local known = call('HMGET', organism, 'node:' .. node, 'outside')
if not known[1] then return {'lost', counts()} end
if number <= tonumber(known[1]) then return {'done', counts()} end
if number > tonumber(known[1]) + 1 then return {'gap', counts()} end
if (known[2] or '0') ~= outside then return {'outside', counts()} end
call('HSET', organism, 'node:' .. node, number)

local function write(all)
  for i = 1, #all do
    local n = string.byte(all, i)
    call(unpack(ARGV, at, at + n - 1))
    at = at + n
  end
end

local function lives(name) return name ~= '' and call('HEXISTS', organism, 'node:' .. name) == 1 end

local function ring(id, home)
  if lives(home) then call('SADD', p .. 'bell:' .. home, id) end
end

local function put(id, place)
  call('HSET', p .. 'c:' .. id, '@home', '', '@place', place)
end

local function post(id, letter)
  local there = call('HMGET', p .. 'c:' .. id, '@place', '@home')
  if not there[1] or there[1] == 'over' then return -1 end
  local length = call('RPUSH', p .. 'mail:' .. id, letter)
  if there[1] == 'due' then
    call('ZREM', p .. 'due', id)
    put(id, 'queue')
    call('RPUSH', p .. 'queue', id)
  else
    ring(id, there[2])
  end
  return length
end

local function tell(id, save)  -- outputs, over
  local owner = call('HGET', p .. 'c:' .. id, '@owner')
  if owner and owner ~= node and lives(owner) then call('SADD', p .. 'news:' .. owner, id) end
end

local function release(id, kind, due, ended)
  call('SREM', p .. 'bell:' .. node, id)
  call('SREM', p .. 'at:' .. node, id)
  if kind == 'over' then
    local n = call('LLEN', p .. 'mail:' .. id)
    if n > 0 then call('HINCRBY', p .. 'c:' .. id, '@read', n) end
    call('DEL', p .. 'mail:' .. id)
    put(id, 'over')
    call('ZREM', p .. 'running', id)
    local name = string.format('%012d %s', call('HINCRBY', organism, 'ends', 1), id)
    call('HSET', p .. 'c:' .. id, '@end', name)
    call('ZADD', p .. 'ended', ended, name)
    local c = call('HMGET', p .. 'c:' .. id, '@outputs', '@delivered')
    if tonumber(c[2] or 0) >= tonumber(c[1] or 0) then call('ZREM', p .. 'unsettled', id) end
  elseif kind == 'due' and call('EXISTS', p .. 'mail:' .. id) == 0 then
    put(id, 'due')
    call('ZADD', p .. 'due', due, id)
  else
    put(id, 'queue')
    call('LPUSH', p .. 'queue', id)
  end
end

local adopted, refused, numbers, pulled, taken = {}, 0, {}, {}, {}
for id, owner in pairs(batch.adopt) do
  if call('HGET', p .. 'c:' .. id, '@owner') == owner then
    call('HSET', p .. 'c:' .. id, '@owner', batch.owner)
    adopted[#adopted + 1] = id
  end
end

local inject = batch.inject
if inject then
  for source, had in pairs(inject.numbers) do
    local now = tonumber(call('HGET', p .. 'numbers', source) or 0)
    if now ~= had then refused = 1 end
    numbers[#numbers + 1] = source
    numbers[#numbers + 1] = now
  end
  if inject.cursor and (call('HGET', p .. 'cursors', inject.cursor) or '') ~= inject.seen then refused = 1 end
  if inject.letter > 0 and call('HEXISTS', p .. 'dead', inject.letter) == 0 then refused = 1 end
  call('HSET', organism, 'refused:' .. node, refused)
  if refused == 0 then
    if inject.cursor then call('HSET', p .. 'cursors', inject.cursor, inject.moved) end
    if inject.letter > 0 then
      call('HDEL', p .. 'dead', inject.letter)
      call('ZREM', p .. 'letters', inject.letter)
    end
    for source, more in pairs(inject.sources) do call('HINCRBY', p .. 'numbers', source, more) end
    write(injected)
    for _, one in ipairs(inject.made) do
      local id, over = one[1], one[2]
      local n = call('HINCRBY', organism, 'last', 1)
      call('HSET', p .. 'c:' .. id, '@owner', inject.owner, '@n', n, '@home', '', '@place', 'over')
      call('ZADD', p .. 'all', n, id)
      call('ZADD', p .. 'running', n, id)
      call('ZADD', p .. 'unsettled', n, id)
      if over then
        tell(id)
        release(id, 'over', 0, one[3])
      elseif inject.here then
        call('HSET', p .. 'c:' .. id, '@home', node, '@place', 'home')
        call('SADD', p .. 'at:' .. node, id)
      else
        put(id, 'queue')
        call('RPUSH', p .. 'queue', id)
      end
    end
  end
end

write(sizes)
for _, one in ipairs(batch.offers) do
  call('HSET', p .. 'offers', one[2], one[3])
  call('HSET', p .. 'lanes', one[2], one[1])
  call('RPUSH', p .. 'free:' .. one[1], one[2])
  call('HINCRBY', p .. 'offered', one[1], 1)
end
for _, key in ipairs(batch.withdrawn) do
  if call('HDEL', p .. 'offers', key) == 1 then
    local holder = call('HGET', p .. 'holders', key)
    call('HDEL', p .. 'losses', key)
    call('HDEL', p .. 'lanes', key)
    if holder then
      call('HDEL', p .. 'holders', key)
      call('SREM', p .. 'held:' .. holder, key)
      if lives(holder) then call('RPUSH', p .. 'revoked:' .. holder, key) end
    end
  end
end
for _, one in ipairs(batch.saves) do  -- id, outputs told, letters read, release, due, ended
  local id = one[1]
  if one[2] then tell(id) end
  if one[3] > 0 then
    local read = tonumber(call('HGET', p .. 'c:' .. id, '@read') or 0)
    if one[3] > read then
      call('LTRIM', p .. 'mail:' .. id, one[3] - read, -1)
      call('HSET', p .. 'c:' .. id, '@read', one[3])
      if call('EXISTS', p .. 'mail:' .. id) == 0 then call('SREM', p .. 'bell:' .. node, id) end
    end
  end
  if one[4] ~= '' then release(id, one[4], one[5], one[6]) end
end
for _, one in ipairs(batch.answers) do  -- conversation, key, step
  if call('HGET', p .. 'holders', one[2]) == node and call('HDEL', p .. 'offers', one[2]) == 1 then
    local lost = call('HGET', p .. 'losses', one[2]) or '0'
    call('HDEL', p .. 'holders', one[2])
    call('HDEL', p .. 'losses', one[2])
    call('HDEL', p .. 'lanes', one[2])
    call('SREM', p .. 'held:' .. node, one[2])
    post(one[1], lost .. ' ' .. one[3])
  end
end
for id, count in pairs(batch.delivered) do
  local c = call('HMGET', p .. 'c:' .. id, '@outputs', '@delivered', '@place')
  if c[3] then
    local outputs = tonumber(c[1] or 0)
    local now = math.max(tonumber(c[2] or 0), math.min(count, outputs))
    call('HSET', p .. 'c:' .. id, '@delivered', now)
    if c[3] == 'over' and now >= outputs then call('ZREM', p .. 'unsettled', id) end
  end
end
for _, letter in ipairs(refused == 0 and batch.dead or {}) do
  local n = call('HINCRBY', organism, 'dead', 1)
  call('HSET', p .. 'dead', n, letter)
  call('ZADD', p .. 'letters', n, n)
end
if #batch.dead > 0 then
  for _, n in ipairs(call('ZRANGE', p .. 'letters', 0, -batch.most_dead - 1)) do
    call('HDEL', p .. 'dead', n)
    call('ZREM', p .. 'letters', n)
  end
end
if refused == 0 then
  for name, more in pairs(batch.more) do
    if more ~= 0 then call('HINCRBY', p .. 'counters', name, more) end
  end
end

local function settle(id)
  call('ZREM', p .. 'due', id)
  call('HSET', p .. 'c:' .. id, '@home', node, '@place', 'home')
  call('SADD', p .. 'at:' .. node, id)
  if call('EXISTS', p .. 'mail:' .. id) == 1 then call('SADD', p .. 'bell:' .. node, id) end
  pulled[#pulled + 1] = id
end
if batch.pulled ~= '' then
  local there = call('HMGET', p .. 'c:' .. batch.pulled, '@place', '@home')
  if there[1] and there[1] ~= 'over' and not lives(there[2]) then
    call('LREM', p .. 'queue', 1, batch.pulled)
    call('SREM', p .. 'at:' .. there[2], batch.pulled)
    settle(batch.pulled)
  end
end
local most = batch.pull
while most > 0 do
  local grave = call('SRANDMEMBER', p .. 'graves')
  if not grave then break end
  local id = call('SPOP', p .. 'at:' .. grave)
  if id then
    settle(id)
    most = most - 1
  else
    call('SREM', p .. 'graves', grave)
  end
end
if most > 0 then
  for _, id in ipairs(call('ZRANGEBYSCORE', p .. 'due', '(0', batch.now, 'LIMIT', 0, most)) do
    call('ZREM', p .. 'due', id)
    put(id, 'queue')
    call('RPUSH', p .. 'queue', id)
  end
end
while most > 0 do
  local id = call('LPOP', p .. 'queue')
  if not id then break end
  settle(id)
  most = most - 1
end
for listener, wanted in pairs(batch.take) do
  while wanted > 0 do
    local key = call('LPOP', p .. 'free:' .. listener)
    if not key then break end
    call('HINCRBY', p .. 'offered', listener, -1)
    local offer = call('HGET', p .. 'offers', key)
    if offer and not call('HGET', p .. 'holders', key) then
      call('HSET', p .. 'holders', key, node)
      call('SADD', p .. 'held:' .. node, key)
      taken[#taken + 1] = {offer, call('HGET', p .. 'losses', key) or '0'}
      wanted = wanted - 1
    end
  end
  if call('EXISTS', p .. 'free:' .. listener) == 0 then call('HDEL', p .. 'offered', listener) end
end
if batch.wants ~= '' and #taken == 0 then
  call('HSET', p .. 'wanted', node, batch.wants)
else
  call('HDEL', p .. 'wanted', node)
end

local letters = {}
for _, id in ipairs(call('SMEMBERS', p .. 'bell:' .. node)) do
  letters[#letters + 1] = {
    id, call('HGET', p .. 'c:' .. id, '@read') or '0', call('LRANGE', p .. 'mail:' .. id, 0, -1),
  }
end
local news, revoked = call('SMEMBERS', p .. 'news:' .. node), call('LRANGE', p .. 'revoked:' .. node, 0, -1)
call('DEL', p .. 'news:' .. node, p .. 'revoked:' .. node)
if batch.rings then
  for _, other in ipairs(call('HKEYS', p .. 'nodes')) do
    if other ~= node then
      call('LPUSH', p .. 'wake:' .. other, '')
      call('LTRIM', p .. 'wake:' .. other, 0, 0)
      call('PEXPIRE', p .. 'wake:' .. other, life)
    end
  end
end
return {'ok', counts(), refused, numbers, pulled, taken, letters, news, revoked, adopted}
