package registry

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// scriptWithin bounds one script call, which carries up to batchOps records.
const scriptWithin = time.Second

// applyScript continues a copy by one batch. Everything it decides by and everything it changes is in one call, so
// records and watermark never disagree.
//
//	KEYS  meta, records of the generation
//	ARGV  generation, topic, from, to, updated, quarantine prefix, then kind, offset, key, value of each record
var applyScript = redis.NewScript(`
local meta, records = KEYS[1], KEYS[2]
if redis.call('TYPE', meta)['ok'] ~= 'hash' then return {'missing', '0'} end
local have = redis.call('HMGET', meta, 'gen', 'topic', 'watermark', 'count', 'updated')
local watermark, count = tonumber(have[3] or ''), tonumber(have[4] or '')
if not have[1] or not watermark or not count then return {'missing', '0'} end
if have[1] ~= ARGV[1] then return {'swapped', have[3]} end
if have[2] ~= ARGV[2] then return {'topic', have[3]} end
local kind = redis.call('TYPE', records)['ok']
if kind ~= 'hash' and kind ~= 'none' then return {'torn', have[3]} end
if redis.call('HLEN', records) ~= count then return {'torn', have[3]} end
local from, to, prefix = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6]
if from > watermark then return {'gap', have[3]} end
for i = 7, #ARGV, 4 do
  local op, key, value = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  if tonumber(ARGV[i + 1]) >= watermark then
    if op == 'quarantine' then
      redis.call('HSET', records, prefix .. key, value)
    else
      redis.call('HDEL', records, prefix .. key)
      if op == 'put' then redis.call('HSET', records, key, value) else redis.call('HDEL', records, key) end
    end
  end
end
if to > watermark then
  redis.call('HSET', meta, 'watermark', ARGV[4], 'count', redis.call('HLEN', records))
  have[3] = ARGV[4]
end
if tonumber(ARGV[5]) > (tonumber(have[5] or '') or 0) then
  redis.call('HSET', meta, 'updated', ARGV[5])
end
return {'done', have[3]}
`)

// swapScript makes a new generation the copy, unless the copy is as good meanwhile. A new generation that lost fields
// while it was filled is refused.
//
//	KEYS  meta, records of the new generation, records of the old one
//	ARGV  new generation, old one, topic, watermark, count, updated
var swapScript = redis.NewScript(`
local meta, fresh, old = KEYS[1], KEYS[2], KEYS[3]
local watermark = tonumber(ARGV[4])
if redis.call('HLEN', fresh) ~= tonumber(ARGV[5]) then
  redis.call('DEL', fresh)
  return {'torn', '0'}
end
if redis.call('TYPE', meta)['ok'] == 'hash' then
  local have = redis.call('HMGET', meta, 'gen', 'topic', 'watermark')
  if have[1] and have[1] ~= ARGV[2] and have[2] == ARGV[3] and (tonumber(have[3] or '') or -1) >= watermark then
    redis.call('DEL', fresh)
    return {'done', have[3]}
  end
end
redis.call('DEL', meta)
redis.call('HSET', meta, 'gen', ARGV[1], 'topic', ARGV[3], 'watermark', ARGV[4], 'count', ARGV[5], 'updated', ARGV[6])
redis.call('PERSIST', fresh)
if old ~= fresh then redis.call('UNLINK', old) end
return {'done', ARGV[4]}
`)
