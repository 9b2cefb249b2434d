-- Dead letters, under numbers that rise: written at the end of a commit, the oldest ones making room for them.

local buried = {}

local function letter_data(letter, number)
  local message, fault, told_of, id, attempts, at = unpack(letter)
  return '\151' .. binary(message) .. binary(fault) .. pack(told_of and true or false) .. pack(id) .. pack(attempts)
    .. pack(at) .. pack(number)
end

local function save_dead()
  local last, letters, times = number_in(COUNTERS, 'dead'), {}, {}
  local excess = read('HLEN', DEAD) + #buried - 10000
  local oldest = excess > 0 and read('ZRANGE', DEAD_TIMES, 0, excess - 1) or {}
  for at, letter in ipairs(buried) do
    local name = string.format('%015d', last + at)
    letters[2 * at - 1], letters[2 * at] = name, letter_data(letter, last + at)
    times[2 * at - 1], times[2 * at] = exact(letter[6]), name
  end
  write_all('HDEL', DEAD, oldest)
  write_all('ZREM', DEAD_TIMES, oldest)
  write_all('HSET', DEAD, letters)
  write_all('ZADD', DEAD_TIMES, times)
  write('HINCRBY', COUNTERS, 'dead', #buried)
end

local function bury(message, fault, told_of, id, attempts, at)
  if #buried == 0 then endings[#endings + 1] = save_dead end
  buried[#buried + 1] = {message, fault, told_of, id, attempts, at}
end

return bury
