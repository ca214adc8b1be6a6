-- Reads a range of one of the ordered sets with the entries it names.
-- KEYS meta, entries, by webhook, by tenant, pending, resending, by transaction
-- ARGV least watermark, which set (3, 4, 5 or 7), from, to, limit, '1' for the last first, the whole list's from and to,
-- how many of the range to pass over
-- Returns 'page', entries in the whole list, then per entry: member, entry, 1 if it is being resent; or 'behind', 'missing'.
if watermark < tonumber(ARGV[1]) then
  return {'behind'}
end
local order = KEYS[tonumber(ARGV[2])]
local members
if ARGV[6] == '1' then
  members = redis.call('ZREVRANGEBYLEX', order, ARGV[4], ARGV[3], 'LIMIT', ARGV[9], ARGV[5])
else
  members = redis.call('ZRANGEBYLEX', order, ARGV[3], ARGV[4], 'LIMIT', ARGV[9], ARGV[5])
end
local page = {'page', redis.call('ZLEXCOUNT', order, ARGV[7], ARGV[8])}
for _, member in ipairs(members) do
  local id = string.match(member, '[^/]*$')
  local text = redis.call('HGET', KEYS[2], id)
  if not text then
    redis.call('DEL', KEYS[1])
    return {'missing'}
  end
  local e = cjson.decode(text)
  local resending = redis.call('ZSCORE', KEYS[6], e.u .. '\31' .. id .. '/' .. string.format('%d', e.n))
  page[#page + 1] = member
  page[#page + 1] = text
  page[#page + 1] = resending and 1 or 0
end
return page
