-- ARGV: 3 the id of an open join. Its total and where its results are; nothing if there is none.

local owner = call('HGET', JOINS, ARGV[3])
local join = owner and stored(key('join', owner), join_of_data)
return join and {join.total, key('results', owner)} or {}
