-- Prints the totals as one line of JSON, for src/http/wrk.rs.
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    'TOTALS {"requests":%d,"failed":%d,"duration_us":%d,"p50_us":%.1f,"p99_us":%.1f}\n',
    summary.requests, failed, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
