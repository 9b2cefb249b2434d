-- Encoded messages: msgpack arrays of id, kind, conversation, sender, to, type, payload, call, hop, attempt, version,
-- at.
-- What is stored may be damaged: nothing here may fail on it.

-- cmsgpack knows the strings of msgpack, but not its binaries.
local function binary_at(data, at)
  local byte = string.byte
  local mark, one, two, three, four = byte(data, at + 1, at + 5)
  if mark == 196 then return at + 2, one end
  if mark == 197 then return at + 3, one * 256 + two end
  if mark == 198 then return at + 5, ((one * 256 + two) * 256 + three) * 256 + four end
  error('no binary')
end

local function fields(data, at, many)
  return cmsgpack.unpack_limit(data, many, at)
end

local function payload_at(data)
  return binary_at(data, (fields(data, 1, 6)))
end

local function parsed(data)
  local many = string.byte(data) - 144
  local at, id, kind, conversation, sender, to, type_name = fields(data, 1, 6)
  local from, size = binary_at(data, at)
  local left, call_id, hop, attempt, version, sent = fields(data, from + size, many - 7)
  for _, text in ipairs({id, kind, conversation, sender, to, type_name, call_id}) do
    if type(text) ~= 'string' then return nil end
  end
  local fine = many >= 9 and many <= 12 and left == -1 and type(hop) == 'number'
    and type(attempt or 1) == 'number' and (version or 1) == 1 and type(sent or 0) == 'number'
  return fine and {sender = sender, to = to, hop = hop} or nil
end

-- Its sender, receiver and hop; nothing when it is damaged or of another version.
local function envelope(data)
  local fine, found = pcall(parsed, data)
  return fine and found or nil
end

local function payload_of(data)
  local fine, from, size = pcall(payload_at, data)
  return fine and string.sub(data, from + 1, from + size) or ''
end

local function marked_late(data)
  local before = (fields(data, 1, 1))
  local after, kind = fields(data, before, 1)
  return string.sub(data, 1, before) .. cmsgpack.pack('late-' .. kind) .. string.sub(data, after + 1)
end

local function binary(data)
  local size = #data
  if size < 256 then return '\196' .. string.char(size) .. data end
  if size < 65536 then return '\197' .. string.char(math.floor(size / 256), size % 256) .. data end
  local high = math.floor(size / 65536)
  local bytes = string.char(math.floor(high / 256), high % 256, math.floor(size / 256) % 256, size % 256)
  return '\198' .. bytes .. data
end

local function exact_number(value)
  return '\203' .. struct.pack('>d', value)
end

local function fault_message(conversation, sender, to, fault, call_id, hop, now)
  return '\156' .. pack(call_id .. '!') .. pack('fault') .. pack(conversation) .. pack(sender) .. pack(to)
    .. pack('Fault') .. binary(fault) .. pack(call_id) .. pack(hop) .. pack(1) .. pack(1)
    .. exact_number(now)
end

local function no_answer(conversation, listener, caller, call_id, hop, now)
  local text = listener .. ' ended without an answer; let its handler respond'
  local fault = '\136' .. pack('code') .. pack('no_answer') .. pack('text') .. pack(text) .. pack('origin')
    .. pack(listener) .. pack('hop') .. pack(hop) .. pack('attempt') .. pack(1) .. pack('retryable') .. pack(false)
    .. pack('traceback') .. pack('') .. pack('causes') .. '\144'
  return fault_message(conversation, listener, caller, fault, call_id, hop, now)
end

return envelope, payload_of, marked_late, binary, fault_message, no_answer
