#!/usr/bin/env bash
# Makes crates/watchfire/order.txt anew: the functions that a server at rest runs, then those that a look at the page runs. The linker puts them beside
# each other, so that a server at rest holds one megabyte of its program in memory and not eleven (docs/decisions/0037). Names bear marks of the
# compiler's version, of the dependencies and of the profile: run this after one of them was changed. What is missing or stale costs memory, nothing else.
# usage: scripts/order.sh    takes ten minutes; needs valgrind, prometheus-node-exporter and curl
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in valgrind callgrind_control prometheus-node-exporter curl nm python3; do command -v "$tool" >/dev/null || { echo "order: $tool is missing" >&2; exit 1; }; done
target="${CARGO_TARGET_DIR:-target}"
cargo rustc --release --locked -p watchfire --bin watchfire -- -C strip=none
program="$target/release/watchfire"

work="$(mktemp -d)"; pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
port=$((20000 + RANDOM % 10000)); exporter=$((port + 1)); at="http://127.0.0.1:$port"
prometheus-node-exporter --web.listen-address="127.0.0.1:$exporter" >/dev/null 2>&1 & pids+=($!)
printf 'global: {scrape_interval: 10s}\nrule_files: [%s/rules.yml]\nscrape_configs:\n- job_name: exporter\n  static_configs: [{targets: ["127.0.0.1:%s"]}]\n' "$work" "$exporter" >"$work/prometheus.yml"
printf 'groups:\n- name: g\n  rules:\n  - {alert: Down, expr: up == 0, for: 1m}\n  - {record: "job:up:sum", expr: sum by (job) (up)}\n' >"$work/rules.yml"
printf 'prometheus: %s/prometheus.yml\n' "$work" >"$work/watchfire.yml"
# The server starts itself again with what its allocator needs, so the child is what is watched.
valgrind --trace-children=yes --tool=callgrind --callgrind-out-file="$work/calls.%p" --demangle=no --instr-atstart=no \
  "$program" serve --config "$work/watchfire.yml" --listen "127.0.0.1:$port" --data-dir "$work/data" >"$work/log" 2>&1 & pids+=($!)
ask() { curl -sfg -o /dev/null --max-time 120 "$at$1" || echo "order: $1 is not answered" >&2; }
until curl -sf -o /dev/null "$at/-/ready"; do kill -0 "${pids[1]}" 2>/dev/null || { tail -n 5 "$work/log" >&2; exit 1; }; sleep 1; done
sleep 60 # the start is over
# What is watched has to do what servers do at rest.
curl -sfg "$at/api/v1/query?query=up%7Bjob=%22exporter%22%7D==1" | grep -q '"exporter"' || { echo "order: the exporter is not scraped" >&2; exit 1; }
callgrind_control -i on >/dev/null
sleep 120
callgrind_control -d >/dev/null
now=$(date +%s); range="start=$((now - 180))&end=$now"
for path in / /health /metrics /api/metrics /api/system/gpu /api/system/gpu/history /api/system/health /api/system/health/ready /api/system/stats \
  /api/system/storage/stats /api/v1/targets /api/v1/rules /api/v1/alerts /api/v1/status/tsdb /api/v1/labels /api/v1/label/job/values \
  "/api/v1/series?match[]=up" "/api/v1/query?query=sum%20by%20(job)%20(up)" "/api/v1/query_range?query=rate(node_cpu_seconds_total[1m])&$range&step=15" \
  "/api/v1/query_range?query=histogram_quantile(0.9,sum%20by%20(le)%20(rate(watchfire_http_request_duration_seconds_bucket[2m])))&$range&step=15" \
  "/loki/api/v1/query_range?query=%7Bservice_name%3D~%22.%2B%22%7D&limit=100&start=$((now - 180))000000000&end=${now}000000000" /loki/api/v1/labels; do ask "$path"; done
callgrind_control -d >/dev/null
kill -0 "${pids[1]}"
nm --defined-only "$program" >"$work/symbols"
python3 - "$work" >"$work/order.txt" <<'PY'
import glob, re, sys

work = sys.argv[1]
places = {}
for line in open(f"{work}/symbols"):
    address, kind, name = line.split(maxsplit=2)
    if kind in "tTwW":
        places[name.strip()] = int(address, 16)

def functions(path):
    names, ran = {}, set()
    for line in open(path):
        if found := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?$", line):
            called, number, name = found.groups()
            if name:
                names[number] = name
            if not called:
                ran.add(number)
    # A function that calls itself has a number behind it.
    return {name for name in (names[number].split("'")[0] for number in ran) if name in places}

parts = sorted(glob.glob(f"{work}/calls.*.*"), key=lambda path: int(path.rsplit(".", 1)[1]))
rest, asked = (functions(path) for path in parts[-2:])
for names in rest, asked - rest:
    print(*sorted(names, key=places.get), sep="\n")
print(f"order: {len(rest)} functions at rest, {len(asked - rest)} more when asked", file=sys.stderr)
PY
mv "$work/order.txt" crates/watchfire/order.txt
