#!/usr/bin/env bash
# Runs every fuzz target (or those named) for a while each, from the committed corpus. New inputs are kept under
# target/fuzz-corpus; a crash ends with its input in fuzz/artifacts and a non-zero status.
# usage: scripts/fuzz.sh SECONDS [TARGET…]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-30}; shift || true
command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked --quiet cargo-fuzz
targets=("$@"); [ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls fuzz/fuzz_targets | sed 's/\.rs$//')
# Without a sanitizer the stable compiler will do; the code has no unsafe parts for one to find.
for target in "${targets[@]}"; do
  found="${CARGO_TARGET_DIR:-target}/fuzz-corpus/$target"; mkdir -p "$found"
  echo "== $target, $seconds s"
  log=$(mktemp); status=0
  cargo fuzz run --sanitizer none --release "$target" "$found" "fuzz/corpus/$target" -- -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=65536 -print_final_stats=1 >"$log" 2>&1 || status=$?
  grep -E "stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)|SUMMARY|panicked|ERROR" "$log" || true
  if [ "$status" != 0 ]; then tail -n 20 "$log" >&2; echo "fuzz: $target ended with status $status; inputs that fail are in fuzz/artifacts/$target" >&2; exit 1; fi
  rm -f "$log"
done
