#!/bin/sh
# Builds one fuzz target with coverage instrumentation and runs it.
#
#   fuzz/run.sh TARGET SECONDS        TARGET: topology, policy, dns, proxy_protocol
#
# Stable Rust is enough: the flags below are what `cargo fuzz` passes, less the
# address sanitizer, which needs nightly. Of ours there is no `unsafe` for it to
# watch here: that lives in geodns/mmsg and geodns/xdp, which no target calls.
# Needs a C++ compiler for libFuzzer itself. Prints one line of figures at the
# end and exits 1 on a finding, whose input lies in fuzz/artifacts/TARGET/.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: fuzz/run.sh TARGET SECONDS" >&2
    exit 2
fi
target=$1
seconds=$2
cd "$(dirname "$0")"
if [ ! -f "targets/$target.rs" ]; then
    echo "no such target: $target (there are:$(cd targets && printf ' %s' *.rs | sed 's/\.rs//g'))" >&2
    exit 2
fi

features=
[ "$target" != dns ] || features=--features=dns

# Naming the host as target keeps the flags away from build scripts and macros.
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-../target/fuzz}"
RUSTFLAGS="-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares \
--cfg fuzzing" \
    cargo build --quiet --release --locked --target "$host" --bin "$target" $features

corpus="corpus/$target"
artifacts="artifacts/$target"
log="$artifacts/run.log"
mkdir -p "$corpus" "$artifacts"
status=0
# New inputs go to the first folder; seeds are only read.
"$CARGO_TARGET_DIR/$host/release/$target" \
    -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=4096 \
    -print_final_stats=1 -artifact_prefix="$artifacts/" \
    "$corpus" "seeds/$target" >"$log" 2>&1 || status=$?

figure() { sed -n "s/^stat::$1: *//p" "$log"; }
edges=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
features=$(sed -n 's/.* ft: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
counters=$(sed -n 's/.*Loaded [0-9]* PC tables (\([0-9]*\) PCs).*/\1/p' "$log" | head -n 1)
if [ "$status" -ne 0 ]; then
    tail -n 40 "$log" >&2
    echo "$target: FINDING, input in fuzz/$artifacts/" >&2
    exit 1
fi
echo "$target: $(figure number_of_executed_units) executions in $seconds s," \
    "$(figure average_exec_per_sec)/s, $edges of ${counters:-?} edges, $features features," \
    "peak $(figure peak_rss_mb) MB, no finding"
