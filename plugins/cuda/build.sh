#!/bin/sh
# Builds the CUDA plugin: plugins/cuda/build.sh [folder for the plugin]
#
# Needs Rust, a C++ compiler and CUDA's nvcc: an installed toolkit (CUDA_HOME), or the wheels below,
# fetched with pip into target/cuda/toolkit. No GPU and no driver. The result looks for CUDA's
# libraries only when a device is asked for.
#   CUDA_COMPUTE_CAP  oldest card that will do, 80 (Ampere) by default; newer ones translate at
#                     their first use
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/cuda
out=${1:-$root/target/release/plugins}
export CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-80}"

toolkit() {
    [ -x "$work/toolkit/nvidia/cu13/bin/nvcc" ] && return
    echo "fetching nvcc ..."
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" download --quiet --no-deps --dest "$work/wheels" \
        'nvidia-cuda-nvcc==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-crt==13.0.*' \
        'nvidia-cuda-cccl==13.0.*' 'nvidia-cuda-runtime==13.0.*' 'nvidia-curand==10.4.*'
    for wheel in "$work"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$work/toolkit"
    done
    chmod -R a+rx "$work/toolkit/nvidia/cu13/bin" "$work/toolkit/nvidia/cu13/nvvm/bin"
}

# The sources of a crate as cargo fetched them, with our patch.
patched() {
    stamp=$(cksum < "$here/gpu/candle-0.11.1.patch")
    [ "$(cat "$work/patched/stamp" 2>/dev/null)" = "$stamp" ] && return
    rm -rf "$work/patched" "$work/fetch"
    mkdir -p "$work/patched" "$work/fetch/src"
    # A manifest without the patch section: cargo fetches the originals and checks their hashes.
    printf '[workspace]\n[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n' > "$work/fetch/Cargo.toml"
    printf '[dependencies]\ncandle-core = "=0.11.1"\ncandle-kernels = "=0.11.1"\n' >> "$work/fetch/Cargo.toml"
    touch "$work/fetch/src/lib.rs"
    (cd "$work/fetch" && cargo fetch --quiet)
    for crate in candle-core candle-kernels; do
        source=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -maxdepth 2 -name "$crate-0.11.1" | head -n 1)
        cp -R "$source" "$work/patched/$crate"
    done
    rm -rf "$work/fetch"
    patch --quiet -d "$work/patched" -p1 < "$here/gpu/candle-0.11.1.patch"
    echo "$stamp" > "$work/patched/stamp"
}

if [ -z "${CUDA_HOME:-}" ]; then
    toolkit
    export CUDA_HOME="$work/toolkit/nvidia/cu13"
fi
export PATH="$CUDA_HOME/bin:$PATH" CUDAFORGE_THREADS="${CUDAFORGE_THREADS:-2}"
patched
cargo build --release --manifest-path "$here/gpu/Cargo.toml" --target-dir "$work/build"
mkdir -p "$out"
cp "$work/build/release/libmarsfm_plugin_cuda.so" "$out/libmarsfm_plugin_cuda.so.tmp"
mv "$out/libmarsfm_plugin_cuda.so.tmp" "$out/libmarsfm_plugin_cuda.so"
echo "built $out/libmarsfm_plugin_cuda.so"
