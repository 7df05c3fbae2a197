-- What wrk posts, by variables: WRK_BODY a file, WRK_TYPE its content type, WRK_TOKEN a header X-Token or none.
-- A body with {id} gets another number in each request. With WRK_LINES each line of the file is a body, and they take
-- turns. At the end: one line of JSON; times in milliseconds.
local file = assert(io.open(os.getenv("WRK_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("a*")
file:close()
local bodies = {}
local function add(body)
  local before, after = body:match("^(.-){id}(.*)$")
  bodies[#bodies + 1] = {before = before, after = after, whole = body}
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

if #bodies > 1 or bodies[1].before then
  local number = os.time() % 100000 * 10000
  request = function()
    number = number + 1
    local body = bodies[number % #bodies + 1]
    return wrk.format(nil, nil, nil, body.before and body.before .. number .. body.after or body.whole)
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
