-- Takes one token from the bucket KEYS[1], which is kept as the microsecond at which it is full again.
-- ARGV: microseconds from one token to the next, and from empty to full.
-- Answers 0, or the microseconds until there is a token.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local depth = tonumber(ARGV[2])
-- Nothing that was granted lies further ahead than the bucket is deep; only a clock that was set back does.
local stored = math.min(tonumber(redis.call('GET', KEYS[1])) or 0, now + depth)
local full = math.max(stored, now) + tonumber(ARGV[1])
local wait = full - now - depth
if wait >= 1 then
  return math.ceil(wait)
end
redis.call('SET', KEYS[1], string.format('%.2f', full), 'PX', math.ceil((full - now) / 1000))
return 0
