-- ARGV: 3 a thread. How many results its Buffer has, 0 for none.

local data = call('GET', key('join', ARGV[3]))
return data and join_of_data(data).total or 0
