-- Outputs that need not be printed any more.

require_type('zset', FINISHED, SETTLED)

local function deliver(id, one, outputs)
  local name = key('conversation', id)
  one.delivered = math.min(outputs, one.outputs)
  call('SET', name, conversation_data(one))
  expire(name)
  local place = is_settled(one) and call('ZSCORE', FINISHED, id)
  if place then call('ZADD', SETTLED, place, id) end
end

return deliver
