-- Counts the entries of a part of a range that pass filters.
-- KEYS meta, entries, by webhook, by tenant, pending, resending, by transaction
-- ARGV least watermark, which set (3 or 7), from, to, how many to look at, uid, tenant, type, reason, transaction, event,
-- end of the offsets that count
-- Returns 'counted', how many passed, the last member looked at or '' at the end; or 'behind', 'missing'.
if watermark < tonumber(ARGV[1]) then
  return {'behind'}
end
local members = redis.call('ZRANGEBYLEX', KEYS[tonumber(ARGV[2])], ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])
local function passes(wanted, value) return wanted == '' or wanted == value end
local below = tonumber(ARGV[12])
local passed = 0
for _, member in ipairs(members) do
  local text = redis.call('HGET', KEYS[2], string.match(member, '[^/]*$'))
  if not text then
    redis.call('DEL', KEYS[1])
    return {'missing'}
  end
  local e = cjson.decode(text)
  if e.o < below and e.u == ARGV[6] and e.t == ARGV[7] and passes(ARGV[8], e.y) and passes(ARGV[9], e.r) and passes(ARGV[10], e.x) and passes(ARGV[11], e.i) then
    passed = passed + 1
  end
end
local last = ''
if #members == tonumber(ARGV[5]) then
  last = members[#members]
end
return {'counted', passed, last}
