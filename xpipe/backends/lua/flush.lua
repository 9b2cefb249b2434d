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

-- Whether this commit is the first one to touch `t` in a twentieth of the TTL (keys.lua), or its time is not known.
-- Of a new thread only the slots may have been there.
local function is_due(t, now)
  if not t.before then return t.stored and t.stored > 0 end
  return not now or math.floor(t.before / SPARE) ~= math.floor(now / SPARE)
end

local function save_records(now)
  for _, one in ipairs(dirty) do
    if not one.dropped then
      if one.data_of then
        write_string(one.key, one.data_of(one))
      else
        write_string(key('thread', one.id), thread_data(one), one.before and not is_due(one, now))
      end
      if one.results then save_results(one) end
      if one.added then append(key('buffer', one.id), one.added) end
      if one.calls_changed or one.gave_up then save_open(one) end
    end
  end
end

local function save_new_threads()
  local ids, registry, members = {}, {}, {}
  for _, t in ipairs(new_threads) do
    local conversation = t.conversation
    write_string(key('chain', t.chain), t.id)
    write_string(key('uuid', t.id), t.chain)
    members[conversation] = members[conversation] or {}
    table.insert(members[conversation], t.id)
    ids[#ids + 1] = t.id
    registry[#registry + 1] = t.id
    registry[#registry + 1] = t.chain
  end
  for conversation, list in pairs(members) do append(key('members', conversation), list) end
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
  for id, list in pairs(hops) do append(key('hops', id), list) end
end

local function refresh_thread(t)
  expire(key('buffer', t.id))
  expire(key('uuid', t.id))
  expire(key('chain', t.chain))
  if t.spilled > 0 then expire(key('open', t.id)) end
  if t.parked > 0 then expire(key('mailbox', t.id)) end
end

local function refresh_conversation(id)
  expire(key('conversation', id))
  expire(key('members', id))
  expire(key('hops', id))
end

-- `made` are lists that were not there before; strings have got their life as they were written.
local function refresh(made, now)
  local talks = {}
  for _, name in ipairs(made) do
    if not lasts[name] then expire(name) end
  end
  for _, one in ipairs(dirty) do
    if one.results then expire(key('results', one.thread.id)) end
    if one.calls_changed then expire(key('open', one.id)) end
    if not one.data_of and renewed[one.id] and is_due(one, now) then
      refresh_thread(one)
      talks[one.conversation] = true
    end
  end
  for id in pairs(talks) do refresh_conversation(id) end
end

-- `now` is the time of what was done; without it all keys of the threads that were touched get their whole life.
local function flush(pump, now)
  save_new_threads()
  save_records(now)
  for _, q in ipairs(queues) do save_queue(q) end
  save_conversations()
  save_hops()
  for _, save in ipairs(endings) do save() end
  save_lanes()
  save_claims()
  save_news(pump)
  save_counters()
  local made = carry_out()
  if ttl > 0 then refresh(made, now) end
end

return flush
