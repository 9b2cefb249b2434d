-- ARGV: 3... a conversation and how many of its outputs have been printed, and so on.

for at = 3, #ARGV, 2 do
  local id, printed = ARGV[at], tonumber(ARGV[at + 1])
  local name = key('conversation', id)
  local one = stored(name, conversation_of_data)
  if one and one.delivered < printed then
    one.delivered = math.min(printed, one.outputs)
    call('SET', name, conversation_data(one))
    expire(name)
    local place = is_settled(one) and call('ZSCORE', FINISHED, id)
    if place then call('ZADD', SETTLED, place, id) end
  end
end
return 1
