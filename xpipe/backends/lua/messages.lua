-- Encoded messages: msgpack arrays of id, kind, conversation, sender, to, type, payload, call, hop, attempt, version.

-- cmsgpack knows the strings of msgpack, but not its binaries.
local function binary_at(data, at)
  local byte = string.byte
  local mark, one, two, three, four = byte(data, at + 1, at + 5)
  if mark == 196 then return at + 2, one end
  if mark == 197 then return at + 3, one * 256 + two end
  return at + 5, ((one * 256 + two) * 256 + three) * 256 + four
end

local function skip(data, at, fields)
  for _ = 1, fields do at = cmsgpack.unpack_one(data, at) end
  return at
end

local function payload_of(data)
  local from, size = binary_at(data, skip(data, 1, 6))
  return string.sub(data, from + 1, from + size)
end

local function hop_of(data)
  local from, size = binary_at(data, skip(data, 1, 6))
  local _, hop = cmsgpack.unpack_one(data, skip(data, from + size, 1))
  return hop
end

local function late(data)
  local before = skip(data, 1, 1)
  local after, kind = cmsgpack.unpack_one(data, before)
  return string.sub(data, 1, before) .. pack('late-' .. kind) .. string.sub(data, after + 1)
end

local function binary(data)
  local size = #data
  if size < 256 then return '\196' .. string.char(size) .. data end
  if size < 65536 then return '\197' .. string.char(math.floor(size / 256), size % 256) .. data end
  local high = math.floor(size / 65536)
  local bytes = string.char(math.floor(high / 256), high % 256, math.floor(size / 256) % 256, size % 256)
  return '\198' .. bytes .. data
end

local function no_answer(conversation, listener, caller, call_id, hop)
  local text = listener .. ' ended without an answer; let its handler respond'
  local fault = '\135' .. pack('code') .. pack('no_answer') .. pack('text') .. pack(text) .. pack('origin')
    .. pack(listener) .. pack('hop') .. pack(hop) .. pack('attempt') .. pack(1) .. pack('retryable') .. pack(false)
    .. pack('traceback') .. pack('')
  return '\155' .. pack(call_id .. '!') .. pack('fault') .. pack(conversation) .. pack(listener) .. pack(caller)
    .. pack('Fault') .. binary(fault) .. pack(call_id) .. pack(hop) .. pack(1) .. pack(1)
end
