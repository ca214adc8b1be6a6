-- Applies the changes that a range of offsets holds, together with the watermark.
-- KEYS meta, entries, by webhook, by tenant, pending, resending, by transaction
-- ARGV generation, first offset of the range, offset after it, then per change: offset, kind, delivery, n, uid, entry
-- Returns 'applied' and the keys of older generations that came late; or 'ahead', 'behind', 'missing'.
if meta[1] ~= ARGV[1] then
  return {'missing'}
end
if watermark < tonumber(ARGV[2]) then
  return {'behind'}
end
if watermark >= tonumber(ARGV[3]) then
  return {'ahead'}
end

local sep = '\31' -- no identifier holds a control character
local function byWebhook(id, e) return e.u .. sep .. e.d .. '/' .. id end
local function byTenant(id, e) return e.t .. sep .. e.d .. '/' .. id end
local function pending(id, e) return e.u .. sep .. e.s .. '/' .. e.d .. '/' .. id end
-- Only events of one transaction share a range of this set, save for a rare collision, which readers sort out.
local function byTransaction(id, e)
  return string.sub(redis.sha1hex(e.t .. sep .. (e.x or e.i or id)), 1, 12) .. sep .. e.d .. '/' .. id
end
local function marker(uid, id, n) return uid .. sep .. id .. '/' .. n end

local function current(id)
  local text = redis.call('HGET', KEYS[2], id)
  return text and cjson.decode(text)
end

local function remove(id, e)
  redis.call('HDEL', KEYS[2], id)
  redis.call('ZREM', KEYS[3], byWebhook(id, e))
  redis.call('ZREM', KEYS[4], byTenant(id, e))
  redis.call('ZREM', KEYS[7], byTransaction(id, e))
  if e.s then
    redis.call('ZREM', KEYS[5], pending(id, e))
  end
end

local late = {'applied'}
for i = 4, #ARGV, 6 do
  local kind, id, n, uid = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if tonumber(ARGV[i]) >= watermark then
    local now = current(id)
    local same = now and now.n == tonumber(n)
    if kind == 'diverted' then
      if now and now.n > tonumber(n) then
        late[#late + 1] = uid .. '/' .. id .. '/' .. n
      else
        if now then
          remove(id, now)
        end
        local e = cjson.decode(ARGV[i + 5])
        redis.call('HSET', KEYS[2], id, ARGV[i + 5])
        redis.call('ZADD', KEYS[3], 0, byWebhook(id, e))
        redis.call('ZADD', KEYS[4], 0, byTenant(id, e))
        redis.call('ZADD', KEYS[7], 0, byTransaction(id, e))
        if e.s and not redis.call('ZSCORE', KEYS[6], marker(uid, id, n)) then
          redis.call('ZADD', KEYS[5], 0, pending(id, e))
        end
      end
    elseif kind == 'removed' then
      if same then
        remove(id, now)
      end
    elseif kind == 'marked' then
      redis.call('ZADD', KEYS[6], 0, marker(uid, id, n))
      if same and now.s then
        redis.call('ZREM', KEYS[5], pending(id, now))
      end
    elseif kind == 'unmarked' then
      redis.call('ZREM', KEYS[6], marker(uid, id, n))
      if same and now.s then
        redis.call('ZADD', KEYS[5], 0, pending(id, now))
      end
    end
  end
end
redis.call('HSET', KEYS[1], 'watermark', ARGV[3], 'count', redis.call('HLEN', KEYS[2]),
  'pending', redis.call('ZCARD', KEYS[5]), 'resending', redis.call('ZCARD', KEYS[6]))
return late
