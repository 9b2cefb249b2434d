-- ARGV: 3 a thread. How many results its Buffer has, 0 for none.

local join = stored(key('join', ARGV[3]), join_of_data)
return join and join.total or 0
