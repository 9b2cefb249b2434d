-- ARGV: 3 'running' or 'conversations', 4 the score where the page begins, 5 rows, or 3 '' and 4 a conversation.
-- Where the next page begins ('' for nowhere), and a row for each conversation.

local ids, after = {}, ''
if ARGV[3] == '' then
  ids = {ARGV[4]}
else
  local page = call('ZRANGEBYSCORE', prefix .. ARGV[3], ARGV[4], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[5])
  for at = 1, #page, 2 do ids[#ids + 1] = page[at] end
  if #page > 0 then after = '(' .. page[#page] end
end

local rows = {}
for _, id in ipairs(ids) do
  local data = call('GET', key('conversation', id))
  if data then
    local one, chain = conversation_of_data(data), call('GET', key('uuid', id)) or ''
    local outputs = call('LLEN', key('buffer', id))
    rows[#rows + 1] = {
      id, chain, one.owner, exact(one.started), exact(one.ended), outputs, one.delivered, one.faulted,
    }
  end
end
return {after, rows}
