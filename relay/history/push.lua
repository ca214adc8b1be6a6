-- Adds to the recent view of one webhook.
-- KEYS latest attempts, latest failures, then hashes of counts.
-- ARGV how many attempts are kept, and for how many seconds; the number of attempts, then each, the oldest first; the same
-- of failures; then for each hash how many seconds it is kept, the number of its fields, then each field and what is added.
local at = 3
for list = 1, 2 do
  local n = tonumber(ARGV[at])
  for i = at + 1, at + n do
    redis.call('LPUSH', KEYS[list], ARGV[i])
  end
  if n > 0 then
    redis.call('LTRIM', KEYS[list], 0, tonumber(ARGV[1]) - 1)
    redis.call('EXPIRE', KEYS[list], ARGV[2])
  end
  at = at + n + 1
end
for hash = 3, #KEYS do
  local n = tonumber(ARGV[at + 1])
  for i = at + 2, at + 2 * n, 2 do
    redis.call('HINCRBY', KEYS[hash], ARGV[i], ARGV[i + 1])
  end
  redis.call('EXPIRE', KEYS[hash], ARGV[at])
  at = at + 2 * n + 2
end
return 0
