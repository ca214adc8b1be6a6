-- Put before every script that follows the index. Whole keys may be evicted or lost: the counts in meta tell.
local function sound(meta)
  if not (meta[1] and meta[2] and meta[3] and meta[4] and meta[5]) then
    return false
  end
  local count = tonumber(meta[3])
  return redis.call('HLEN', KEYS[2]) == count
    and redis.call('ZCARD', KEYS[3]) == count
    and redis.call('ZCARD', KEYS[4]) == count
    and redis.call('ZCARD', KEYS[7]) == count
    and redis.call('ZCARD', KEYS[5]) == tonumber(meta[4])
    and redis.call('ZCARD', KEYS[6]) == tonumber(meta[5])
end
local meta = redis.call('HMGET', KEYS[1], 'gen', 'watermark', 'count', 'pending', 'resending')
if not sound(meta) then
  redis.call('DEL', KEYS[1])
  return {'missing'}
end
local watermark = tonumber(meta[2])
