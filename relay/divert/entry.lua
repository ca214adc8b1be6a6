-- Reads one entry.
-- KEYS meta, entries, by webhook, by tenant, pending, resending, by transaction
-- ARGV least watermark, delivery
-- Returns 'entry', the entry, 1 if it is being resent; or 'none', 'behind', 'missing'.
if watermark < tonumber(ARGV[1]) then
  return {'behind'}
end
local text = redis.call('HGET', KEYS[2], ARGV[2])
if not text then
  return {'none'}
end
local e = cjson.decode(text)
local resending = redis.call('ZSCORE', KEYS[6], e.u .. '\31' .. ARGV[2] .. '/' .. string.format('%d', e.n))
return {'entry', text, resending and 1 or 0}
