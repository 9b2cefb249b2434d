-- ARGV: 3 an index, 4 a cursor, 5 rows. Where the next page begins ('0' for nowhere), and of each entry that cannot be
-- one its name and what is kept of it.

local function is_number(value) return tonumber(value) ~= nil end
local function any() return true end

local SCANS = {lanes = 'LRANGE', listening = 'SSCAN'}
for _, index in ipairs({'threads', 'conversations', 'running', 'finished', 'settled', 'expiries', 'delayed'}) do
  SCANS[index] = 'ZSCAN'
end
local VALUES = {
  leases = is_number, registry = is_text, bound = is_text, joins = is_text, loose = is_whole, sizes = is_whole,
  flights = is_whole, counters = is_whole, numbers = is_whole,
}

local index, rows = ARGV[3], {}
local name, scan, is_sound = prefix .. index, SCANS[index] or 'HSCAN', VALUES[index] or any

local function scanned()
  if scan == 'LRANGE' then return '0', call(scan, name, 0, -1) end
  return unpack(call(scan, name, ARGV[4], 'COUNT', ARGV[5]))
end

local after, found = scanned()
local step = (scan == 'HSCAN' or scan == 'ZSCAN') and 2 or 1
for at = 1, #found, step do
  local id = found[at]
  local value = scan == 'HSCAN' and found[at + 1] or id
  if not is_text(id) or not is_sound(value) then
    -- The number of dead letters first: what is set aside needs one.
    table.insert(rows, index == 'counters' and id == 'dead' and 1 or #rows + 1, {id, value})
  end
end
return {after, rows}
