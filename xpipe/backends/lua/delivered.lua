-- ARGV: 3... a conversation and how many of its outputs have been printed, and so on.

local changed = {}
for at = 3, #ARGV, 2 do
  local one, printed = stored(key('conversation', ARGV[at]), conversation_of_data), tonumber(ARGV[at + 1])
  if one and one.delivered < printed then changed[#changed + 1] = {ARGV[at], one, printed} end
end
for _, change in ipairs(changed) do deliver(unpack(change)) end
return 1
