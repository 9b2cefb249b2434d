-- ARGV: 3... ids. A row for each that is a thread.

local ids = {}
for at = 3, #ARGV do ids[#ids + 1] = ARGV[at] end
return (rows_of(ids, thread_row))
