-- Sends the requests of a file in turn and prints what came of it as one line of JSON.
-- Arguments: the file (a line each: method, path, body in hex, the latter may be empty), and where to keep answers of
-- some requests (a line each, in hex), or nothing.

local requests, at = {}, 0

local function bytes_of(hex)
   return (hex:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
end

function init(arguments)
   for line in io.lines(arguments[1]) do
      local method, path, body = line:match("^(%S+) (%S+) ?(%x*)$")
      table.insert(requests, wrk.format(method, path, nil, body ~= "" and bytes_of(body) or nil))
   end
   if arguments[2] then
      local kept, seen = io.open(arguments[2], "a"), 0
      function response(status, headers, body)
         seen = seen + 1
         -- The first ones, and then fewer and fewer.
         if seen <= 10 or seen % 7 == 0 then
            kept:write((body:gsub(".", function(byte) return string.format("%02x", byte:byte()) end)), "\n")
            kept:flush()
         end
      end
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      '\nRESULT {"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "refused": %d, "lost": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
