-- ARGV: 3 an id. A row if it is that of a conversation.

return conversation_row(ARGV[3]) or {}
