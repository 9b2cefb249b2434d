-- The end of a commit: everything that was changed is written, after all keys were seen to be of the right type.

local TICK = 1e-6

local function scored(list, score_of)
  local flat = {}
  for _, one in ipairs(list) do
    flat[#flat + 1] = score_of(one)
    flat[#flat + 1] = one.id
  end
  return flat
end

local function save_open(t)
  local name, put, gone = key('open', t.id), {}, {}
  if t.gave_up then write('UNLINK', name) end
  local done = {}
  for _, id in ipairs(t.calls_changed or {}) do
    if not done[id] and t.calls[id] then
      put[#put + 1] = id
      put[#put + 1] = t.calls[id]
    elseif not done[id] then
      gone[#gone + 1] = id
    end
    done[id] = true
  end
  write_all('HSET', name, put)
  if not t.gave_up then write_all('HDEL', name, gone) end
end

local function save_results(join)
  local flat = {}
  for index, data in pairs(join.results) do
    flat[#flat + 1] = index
    flat[#flat + 1] = data
  end
  write_all('HSET', key('results', join.thread.id), flat)
end

local function save_records()
  for _, one in ipairs(dirty) do
    if not one.dropped then
      write_string(one.key, one.data_of(one))
      if one.results then save_results(one) end
      if one.added then write_all('RPUSH', key('buffer', one.id), one.added) end
      if one.calls_changed or one.gave_up then save_open(one) end
    end
  end
end

local function save_new_threads()
  local ids, registry = {}, {}
  for _, t in ipairs(new_threads) do
    write_string(key('chain', t.chain), t.id)
    write_string(key('uuid', t.id), t.chain)
    write('RPUSH', key('members', t.conversation), t.id)
    ids[#ids + 1] = t.id
    registry[#registry + 1] = t.id
    registry[#registry + 1] = t.chain
  end
  write_all('HSET', REGISTRY, registry)
  write_all('ZADD', THREADS, scored(new_threads, function(t) return t.seq end))
  if #ids > 0 and (read('HLEN', BOUND) > 0 or read('HLEN', LOOSE) > 0) then
    write_all('HDEL', BOUND, ids)
    write_all('HDEL', LOOSE, ids)
  end
end

-- No two conversations end at the same time here, so that they can be told in the order of their ends.
local function save_ends()
  if #ended == 0 then return end
  local last = tonumber(read('ZREVRANGE', FINISHED, 0, 0, 'WITHSCORES')[2] or 0)
  local over, settled = {}, {}
  for at, one in ipairs(ended) do
    last = math.max(one.ended, last + TICK)
    one.place = exact(last)
    over[at] = one.id
    if is_settled(one) then settled[#settled + 1] = one end
  end
  local function place(one) return one.place end
  write_all('ZADD', FINISHED, scored(ended, place))
  write_all('ZADD', SETTLED, scored(settled, place))
  write_all('ZREM', RUNNING, over)
end

local function save_conversations()
  local begun = scored(new_conversations, function(one) return one.seq end)
  write_all('ZADD', CONVERSATIONS, begun)
  write_all('ZADD', RUNNING, begun)
  save_ends()
end

local function save_hops()
  for id, list in pairs(hops) do write_all('RPUSH', key('hops', id), list) end
end

local function refresh_thread(t)
  expire(key('buffer', t.id))
  expire(key('uuid', t.id))
  expire(key('chain', t.chain))
  if t.spilled > 0 then expire(key('open', t.id)) end
  if t.parked > 0 then expire(key('mailbox', t.id)) end
end

local function refresh()
  local talks = {}
  for _, one in ipairs(dirty) do
    expire(one.key)
    if one.results then expire(key('results', one.thread.id)) end
    if one.data_of == thread_data then
      talks[one.conversation] = true
      if renewed[one.id] then refresh_thread(one) end
    end
  end
  for id in pairs(talks) do
    expire(key('conversation', id))
    expire(key('members', id))
    expire(key('hops', id))
  end
end

local function flush(pump)
  save_new_threads()
  save_records()
  for _, q in ipairs(queues) do save_queue(q) end
  save_conversations()
  save_hops()
  save_dead()
  save_lanes()
  save_claims()
  save_news(pump)
  save_counters()
  carry_out()
  if ttl > 0 then refresh() end
end

return flush
