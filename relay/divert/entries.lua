-- Reads some entries.
-- KEYS meta, entries, by webhook, by tenant, pending, resending, by transaction
-- ARGV least watermark, deliveries
-- Returns 'entries', then per delivery: the entry or '', 1 if it is being resent; or 'behind', 'missing'.
if watermark < tonumber(ARGV[1]) then
  return {'behind'}
end
local found = {'entries'}
for i = 2, #ARGV do
  local text = redis.call('HGET', KEYS[2], ARGV[i])
  local resending = false
  if text then
    local e = cjson.decode(text)
    resending = redis.call('ZSCORE', KEYS[6], e.u .. '\31' .. ARGV[i] .. '/' .. string.format('%d', e.n))
  end
  found[#found + 1] = text or ''
  found[#found + 1] = resending and 1 or 0
end
return found
