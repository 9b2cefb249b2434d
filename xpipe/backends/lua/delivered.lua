-- ARGV: 3... a conversation and how many of its outputs have been printed, and so on.

local changed, names = {}, {}
for at = 3, #ARGV, 2 do names[#names + 1] = key('conversation', ARGV[at]) end
for at, data in ipairs(call('MGET', unpack(names))) do
  local one, printed = decoded(names[at], data or raw(names[at]), conversation_of_data), tonumber(ARGV[2 + 2 * at])
  if one and one.delivered < printed then changed[#changed + 1] = {ARGV[1 + 2 * at], one, printed} end
end
deliver_all(changed)
return 1
