-- What cannot be read: records that cannot be decoded, and keys of the wrong type.

local DECODERS = {conversation = conversation_of_data, thread = thread_of, join = join_of_data}
local TYPES = {buffer = 'list', mailbox = 'list', open = 'hash', results = 'hash', hops = 'list'}
local OF_THREAD = {'thread', 'join', 'buffer', 'mailbox', 'open', 'results'}
local BYTES = {state = true, joined = true, more = true}  -- the values of records that need be no text

local function are_texts(values)
  for name, value in pairs(values) do
    if type(value) == 'table' and not are_texts(value) then return false end
    if type(value) == 'string' and not BYTES[name] and not is_text(value) then return false end
  end
  return true
end

local function is_readable(kind, data)
  local fine, one = pcall(DECODERS[kind], data)
  return fine and are_texts(one)
end

local CONTENTS = {
  mailbox = function(name)
    for _, index in ipairs(call('LRANGE', name, 0, -1)) do
      if not is_whole(index) then return false end
    end
    return true
  end,
  open = function(name) return are_texts(call('HGETALL', name)) end,
}

local function is_sound(kind, name)
  local found = call('TYPE', name).ok
  if found == 'none' then return true end
  return found == TYPES[kind] and (not CONTENTS[kind] or CONTENTS[kind](name))
end

-- What is stored in the place of a record; its dump, if it is no string. Nothing if it can be read or is not there.
local function damaged(kind, id)
  local name = key(kind, id)
  if TYPES[kind] then return not is_sound(kind, name) and call('DUMP', name) or nil end
  local data = content(name)
  if data and not is_readable(kind, data) then return data end
  return nil
end

return damaged, OF_THREAD
