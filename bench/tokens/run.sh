#!/usr/bin/env bash
# Runs the benchmark of token counts, against tiktoken where Python can have it. usage: bench/tokens/run.sh TARGET_DIR
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
python="$target/bench-tokens-python/bin/python"
if [ ! -x "$python" ] || ! "$python" -c 'import tiktoken' 2>/dev/null; then
  python3 -m venv "$target/bench-tokens-python" && "$python" -m pip install -q --disable-pip-version-check tiktoken==0.14.0 || echo "SKIPPED: tiktoken for Python cannot be installed" >&2
fi
options=()
"$python" -c 'import tiktoken' 2>/dev/null && options=(--python "$python")
exec "$target/release/examples/tokens_bench" "${options[@]}" --seconds "${SECONDS_EACH:-2}"
