-- Begins the index of a partition anew, unless it is sound: then it is joined as it stands.
-- KEYS meta, entries, by webhook, by tenant, pending, resending, by transaction
-- ARGV generation to begin, topic id, first offset, now (Unix ms), oldest trusted (Unix ms), generation not to trust
-- Returns generation, watermark, 1 if begun.
local meta = redis.call('HMGET', KEYS[1], 'gen', 'topic', 'watermark', 'at')
if meta[1] and meta[1] ~= ARGV[6] and meta[2] == ARGV[2] and meta[3] and meta[4] and tonumber(meta[4]) >= tonumber(ARGV[5]) then
  return {meta[1], meta[3], 0}
end
for i = 1, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
redis.call('HSET', KEYS[1], 'gen', ARGV[1], 'topic', ARGV[2], 'watermark', ARGV[3], 'at', ARGV[4],
  'count', '0', 'pending', '0', 'resending', '0')
return {ARGV[1], ARGV[3], 1}
