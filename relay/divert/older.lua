-- Reads the entries that were diverted before a time, from tenant to tenant.
-- KEYS meta, entries, by webhook, by tenant, pending, resending, by transaction
-- ARGV least watermark, the time (13 digits), from, how many to look at
-- Returns 'older', where to go on or '' at the end, then per entry: member, entry, 1 if it is being resent; or 'behind',
-- 'missing'.
if watermark < tonumber(ARGV[1]) then
  return {'behind'}
end
local from = ARGV[3]
local found = {'older', ''}
for _ = 1, tonumber(ARGV[4]) do
  local member = redis.call('ZRANGEBYLEX', KEYS[4], from, '+', 'LIMIT', 0, 1)[1]
  if not member then
    return found
  end
  local tenant, at, id = string.match(member, '^(.*)\31(%d+)/([^/]*)$')
  if at < ARGV[2] then
    local text = redis.call('HGET', KEYS[2], id)
    if not text then
      redis.call('DEL', KEYS[1])
      return {'missing'}
    end
    local e = cjson.decode(text)
    found[#found + 1] = member
    found[#found + 1] = text
    found[#found + 1] = redis.call('ZSCORE', KEYS[6], e.u .. '\31' .. id .. '/' .. string.format('%d', e.n)) and 1 or 0
    from = '(' .. member
  else
    from = '[' .. tenant .. '\32' -- the oldest of the tenant is not: on to the next
  end
end
found[2] = from
return found
