-- What wrk posts, by variables: WRK_BODY a file, WRK_TYPE its content type, WRK_TOKEN a header X-Token or none.
-- Each request gets another number for every {id} of its body, and the Unix time for every {now}. With WRK_LINES each
-- line of the file is a body, and they take turns. At the end: one line of JSON; times in milliseconds.
local file = assert(io.open(os.getenv("WRK_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("a*")
file:close()
local values = {id = os.time() % 100000 * 10000, now = os.time()}
local bodies = {}
local function add(body)
  local parts, names, rest = {}, {}, 1 -- names: position of a part -> whose value it gets
  for first, name, after in body:gmatch("(){(%l+)}()") do
    if values[name] then
      parts[#parts + 1] = body:sub(rest, first - 1)
      parts[#parts + 1] = ""
      names[#parts] = name
      rest = after
    end
  end
  parts[#parts + 1] = body:sub(rest)
  bodies[#bodies + 1] = {parts = parts, names = names}
end
if os.getenv("WRK_LINES") then
  for line in wrk.body:gmatch("[^\n]+") do add(line) end
else
  add(wrk.body)
end
wrk.headers["Content-Type"] = os.getenv("WRK_TYPE")
wrk.headers["User-Agent"] = "amoCRM-Webhooks/3.0"
wrk.headers["X-Amocrm-Requestid"] = "82a25f5c-9d1c-49c3-8c61-ed41d17b4c5e"
wrk.headers["X-Token"] = os.getenv("WRK_TOKEN")

if #bodies > 1 or next(bodies[1].names) then
  request = function()
    values.id, values.now = values.id + 1, os.time()
    local body = bodies[values.id % #bodies + 1]
    for position, name in pairs(body.names) do body.parts[position] = values[name] end
    return wrk.format(nil, nil, nil, table.concat(body.parts))
  end
end

done = function(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "refused": %d, "broken": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
