#!/bin/sh
# Gathers what tests/gpu/run.sh needs on a machine without Rust and network, into target/gpu
# (less than 64 MiB): programs, plugins, the stored network cases, the commit.
#
#   ./x test or cargo build --release --workspace; plugins/cuda/build.sh; tests/gpu/pack.sh
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$root/target/gpu
fixtures=${MARSFM_SHARED:-$root/../shared}/fixtures
rm -rf "$out"
mkdir -p "$out/plugins" "$out/cases"
cp "$root/target/release/marsfm" "$root/target/release/marsfm-bench-surrogate" "$out"
cp "$root/target/release/libmarsfm_plugin_xtc.so" "$out/plugins"
cp "$root/target/release/plugins/libmarsfm_plugin_cuda.so" "$out/plugins"
strip "$out/marsfm" "$out/marsfm-bench-surrogate" "$out"/plugins/*.so
for case in case_a_small_T2_L4 case_mdgen_small_T8_L4; do
    if [ -f "$fixtures/$case.f32.safetensors" ]; then
        cp "$fixtures/$case.f32.safetensors" "$fixtures/$case.json" "$out/cases"
    else
        echo "SKIPPED parity with $case: $fixtures has no such case" >&2
    fi
done
commit=$(git -C "$root" rev-parse HEAD)
[ -z "$(git -C "$root" status --porcelain)" ] || commit="$commit and changes"
echo "$commit" > "$out/commit"
size=$(du -sk "$out" | cut -f 1)
echo "$out: $size KiB"
[ "$size" -le 65536 ] || { echo "more than 64 MiB: it cannot be carried" >&2; exit 1; }
