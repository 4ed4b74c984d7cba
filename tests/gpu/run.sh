#!/bin/sh
# The surrogate on a real card: tests/gpu/run.sh [RESULT.json]
#
# Needs a GPU with its driver, CUDA 13's cuBLAS and cuRAND, and target/gpu as pack.sh gathered it; no
# Rust, no Python, no network. Checks the stored network cases, trains a little on the card and on
# the CPU, draws from the default surrogate on both, measures conformations per second, and writes a
# result file with card, driver and commit. Exit code: 0 all good, 1 a check failed, 3 no CUDA device
# (and no result file).
#   MARSFM_DEVICE  another device than cuda, to try this script where there is none (cpu-plugin)
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
pack=${MARSFM_GPU_PACK:-$root/target/gpu}
result=${1:-gpu-result.json}
device=${MARSFM_DEVICE:-cuda}
marsfm=$pack/marsfm
[ -x "$marsfm" ] || { echo "$marsfm is missing: tests/gpu/pack.sh makes it" >&2; exit 1; }
export MARSFM_PLUGIN_PATH="$pack/plugins"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# CUDA's libraries are often only in the folders of Python packages.
for library in libcublas.so.13 libcublasLt.so.13 libcurand.so.10; do
    for top in /usr/local /usr/lib /opt "${HOME:-/root}" ${CUDA_LIBRARIES:-}; do
        file=$(find "$top" -name "$library" 2>/dev/null | head -n 1)
        if [ -n "$file" ]; then
            LD_LIBRARY_PATH=$(dirname "$file"):${LD_LIBRARY_PATH:-}
            export LD_LIBRARY_PATH
            break
        fi
    done
done

"$marsfm" devices --json > "$work/devices.json" || exit 1
if [ "$device" = cuda ] && ! grep -q '"cuda_usable": true' "$work/devices.json"; then
    "$marsfm" devices
    echo "nothing was measured"
    exit 3
fi

failed=0
note() { printf '%s\n' "$*" >> "$work/checks"; echo "$*"; }
check() { # NAME COMMAND...: runs it, its last line is the remark
    name=$1
    shift
    if "$@" > "$work/out" 2>&1; then verdict=ok; else verdict=FAILED; failed=1; fi
    note "$verdict $name: $(tail -n 1 "$work/out" | sed "s|$pack/cases/||; s|$work/||")"
    [ $verdict = ok ] || sed 's/^/    /' "$work/out"
}

# 1. Parity with the reference code's numbers: velocity, loss, every gradient, samples.
cases=0
for case in "$pack"/cases/*.f32.safetensors; do
    [ -f "$case" ] || continue
    cases=$((cases + 1))
    check "parity with $(basename "$case" .f32.safetensors)" \
        "$marsfm" verify network --weights recipe --case "$case" --device "$device"
done
[ $cases -gt 0 ] || { note "FAILED parity: there are no stored cases in $pack/cases"; failed=1; }

# 2. A little training, the same recipe on both: the losses agree within 5 %, and fall.
peptides=$root/examples/data/tetrapeptides
one=$(find "$peptides" -mindepth 1 -maxdepth 1 -type d | sort | head -n 1)
recipe=$work/train.toml
sed -e "s/NAME/$(basename "$one")/" "$root/tests/gpu/train.toml" > "$recipe"
train() { # DEVICE
    "$marsfm" train "$recipe" --data "$peptides" --device "$1" \
        --out "$work/$(echo "$1" | tr / -).safetensors"
}
loss() { sed -n 's/^training loss \([0-9.]*\),.*/\1/p' "$work/out"; }
check "training on $device" train "$device"
there=$(loss)
check "training on $device/bf16" train "$device/bf16"
half=$(loss)
check "training on cpu" train cpu
here=$(loss)
close() { # A B: within 5 %
    awk -v a="$1" -v b="$2" 'BEGIN { print a, "and", b
        exit !(a > 0 && b > 0 && a / b < 1.05 && b / a < 1.05) }'
}
check "equal losses on $device and cpu" close "${there:-0}" "${here:-0}"
check "equal losses on $device/bf16 and cpu" close "${half:-0}" "${here:-0}"

# 3. The default surrogate: as many draws are accepted as on the CPU, within 3 %.
accepted() { # DEVICE
    "$marsfm" sample --model "$root/examples/models/tetrapeptide/tetrapeptide.safetensors" \
        --topology "$root/examples/data/QLAQ/QLAQ.pdb" --tree "${MARSFM_DRAWS:-2000}" \
        --device "$1" --out "$work/samples-$(echo "$1" | tr / -)"
}
number() { sed -n 's/.* draws, \([0-9]*\) accepted.*/\1/p' "$work/out"; }
check "drawing on $device" accepted "$device"
there=$(number)
check "drawing on $device/bf16" accepted "$device/bf16"
half=$(number)
check "drawing on cpu" accepted cpu
here=$(number)
near() {
    awk -v a="$1" -v b="$2" 'BEGIN { print a, "and", b
        exit !(a > 0 && b > 0 && a / b < 1.03 && b / a < 1.03) }'
}
check "equal acceptance on $device and cpu" near "${there:-0}" "${here:-0}"
check "equal acceptance on $device/bf16 and cpu" near "${half:-0}" "${here:-0}"

# 4. Conformations per second, MDGen's full network (34 million parameters), default solver.
: > "$work/speed"
for job in ${MARSFM_SPEED:-4:8192 100:512 250:128}; do
    residues=${job%:*}
    draws=${job#*:}
    for place in "$device" "$device/bf16"; do
        if "$pack/marsfm-bench-surrogate" device "$place" "$residues" "$draws" 3 > "$work/out" 2>&1
        then
            tail -n 1 "$work/out" >> "$work/speed"
            tail -n 1 "$work/out"
        else
            note "FAILED speed at $residues residues on $place: $(tail -n 1 "$work/out")"
            failed=1
        fi
    done
done

# 5. The result.
lines() { sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/    "&"/' "$1" | sed '$!s/$/,/'; }
{
    echo '{'
    echo "  \"device\": \"$device\","
    echo "  \"commit\": \"$(cat "$pack/commit")\","
    echo "  \"date\": \"$(date -u +%Y-%m-%d)\","
    echo "  \"passed\": $([ $failed = 0 ] && echo true || echo false),"
    echo "  \"nvidia_smi\": \"$(nvidia-smi --query-gpu=name,driver_version,memory.total \
        --format=csv,noheader 2>/dev/null | head -n 1)\","
    echo '  "devices":'
    sed 's/^/  /' "$work/devices.json"
    echo '  , "checks": ['
    lines "$work/checks"
    echo '  ], "conformations_per_second": ['
    sed -e 's/^/    /' -e '$!s/$/,/' "$work/speed"
    echo '  ]'
    echo '}'
} > "$result.tmp" && mv "$result.tmp" "$result"
echo "written to $result"
exit $failed
