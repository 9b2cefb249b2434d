-- Records that cannot be read.

local DECODERS = {
  conversation = conversation_of_data, thread = thread_of, join = join_of_data, handmade = join_of_data,
}

-- What is stored in the place of a record; its dump, if it is no string. Nothing if it can be read or is not there.
local function damaged(kind, id)
  local name = key(kind, id)
  local data = redis.pcall('GET', name)
  if type(data) == 'table' then return call('DUMP', name) end
  if data and not pcall(DECODERS[kind], data) then return data end
  return nil
end
