-- Outputs that need not be printed any more.

require_type('zset', FINISHED, SETTLED)

-- Each of `changes` is the id of a conversation, its record, and how many of its outputs have been printed.
local function deliver_all(changes)
  local settled = {}
  for _, change in ipairs(changes) do
    local id, one, outputs = unpack(change)
    one.delivered = math.min(outputs, one.outputs)
    store(key('conversation', id), conversation_data(one))
    local place = is_settled(one) and call('ZSCORE', FINISHED, id)
    if place then
      settled[#settled + 1] = place
      settled[#settled + 1] = id
    end
  end
  each_page(settled, function(...) call('ZADD', SETTLED, ...) end)
end

return deliver_all
