-- ARGV: 3 to 6 see calls.lua, 7 now, 8 slots per thread, 9 a conversation, 10 the fault that ends it. Whether it ran.

if is_again then return {1} end

local initiator, conversation = thread(ARGV[9]), conversation_of({conversation = ARGV[9]})
if not initiator or not conversation or conversation.ended ~= 0 then return {0} end

-- Those of an initiator are numbered, the first one but for its number.
local waiting = {}
for id in pairs(open_calls(initiator)) do waiting[#waiting + 1] = id end
table.sort(waiting, function(one, other) return #one < #other or (#one == #other and one < other) end)

revoke_below(initiator)
for _, id in ipairs(waiting) do output_fault(initiator, ARGV[10], id) end  -- C1
set(conversation, 'verdict', CANCELLED)
end_conversation(initiator)
write('SET', mark, number, 'EX', MARKED)
flush('', now)
return {1}
