#!/usr/bin/env python3
"""Peak memory of what is done with a Markov model, over the number of frames: the example's files named
again and again. Prints one JSON line per case; needs a built `target/release` and nothing but Python.

  memory_use.py [--release DIR] [--work DIR] [--frames N,N,...] [--out FILE]

Cases: `build` (with its page), `validate` (of many trajectories, and of two long ones, whose error bars
are the posterior's), `validate` with the trajectories for its page, `partial` and `merge` in eight
parts, and a model built through the C library.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / "examples/data/QLAQ"
PER_FILE = 1500
PARTS = 8

# The system counts the memory of the process that starts a program as the program's own peak: a small
# one in between starts it and reads its figures.
LAUNCHER = """
import json, os, sys, time
command = json.load(open(sys.argv[1]))
start = time.perf_counter()
pid = os.fork()
if pid == 0:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.execv(command[0], command)
_, code, usage = os.wait4(pid, 0)
print(json.dumps({"status": os.waitstatus_to_exitcode(code), "peak_mb": usage.ru_maxrss * 1024 / 1e6,
                  "cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": time.perf_counter() - start}))
"""

# A caller of the C library, which adds Python's 10 MB.
CALLER = """
import ctypes as c, json, sys
library, topology, names = c.CDLL(sys.argv[1]), sys.argv[2], json.load(open(sys.argv[3]))
files = (c.c_char_p * len(names))(*[n.encode() for n in names])
class Options(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("frame_ps", c.c_double), ("rest", c.c_double * 8)]
options, msm = Options(c.sizeof(Options), 1.0), c.c_void_p()
status = library.marsfm_msm_build(topology.encode(), files, c.c_size_t(len(names)), c.byref(options),
                                  c.byref(msm))
sys.exit(status)
"""


def measured(command, folder):
    (folder / "command.json").write_text(json.dumps([str(word) for word in command]))
    run = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, str(folder / "command.json")],
                         stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)


def in_two(model, out):
    """The model with all its frames as two trajectories: another list of where they end."""
    with open(model, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header, first = json.loads(file.read(size)), 8 + size
        names = sorted((k for k in header if k != "__metadata__"), key=lambda k: header[k]["data_offsets"])
        ends = [0, header["micro.trajectories"]["shape"][0] // 2, header["micro.trajectories"]["shape"][0]]
        arrays, at = [], 0
        for name in names:
            start, end = header[name]["data_offsets"]
            file.seek(first + start)
            data = file.read(end - start)
            if name == "micro.trajectories.offsets":
                data, header[name]["shape"] = struct.pack("<3q", *ends), [3]
            header[name]["data_offsets"] = [at, at + len(data)]
            at += len(data)
            arrays.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    out.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(arrays))


def cases(release, folder, n):
    """(name, command) of each case; a case may need the files of those before it."""
    xtc = sorted(EXAMPLE.glob("*.xtc"))
    names = []
    for i in range(n // PER_FILE):
        link = folder / f"{i}.xtc"
        link.symlink_to(xtc[i % len(xtc)])
        names.append(str(link))
    marsfm, model = [release / "marsfm", "--threads", "1", "msm"], folder / "m"
    files = [*names, "--topology", EXAMPLE / "QLAQ.pdb", "--frame-ps", "1"]
    yield "msm build --report", [*marsfm, "build", *files, "--out", model, "--report", folder / "m.html"]
    yield "msm validate", [*marsfm, "validate", model]
    in_two(model, folder / "two")
    yield "msm validate, two trajectories", [*marsfm, "validate", folder / "two"]
    page = folder / "v.html"
    yield "msm validate --report, with files", [*marsfm, "validate", model, *files, "--report", page]
    stage = []
    for name in ["projection", "centres", "merged"]:
        parts = [folder / f"{name}-{i}" for i in range(1, PARTS + 1)]
        for i, part in enumerate(parts, 1):
            command = [*marsfm, "partial", *files, "--part", f"{i}/{PARTS}", *stage, "--out", part]
            yield (f"msm partial, 1 of {PARTS}, states" if (i, name) == (1, "merged") else None), command
        command = [*marsfm, "merge", *parts, *stage, "--out", folder / name]
        yield (f"msm merge, {PARTS} parts, states" if name == "merged" else None), command
        stage = ["--from", folder / name]
    (folder / "names.json").write_text(json.dumps(names))
    yield "marsfm_msm_build (C)", [sys.executable, "-I", "-S", "-c", CALLER, release / "libmarsfm.so",
                                   EXAMPLE / "QLAQ.pdb", folder / "names.json"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=HERE.parents[1] / "target/release")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--frames", default="3000,99000,999000,9999000")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    release, good = options.release.resolve(), True
    for n in map(int, options.frames.split(",")):
        folder = Path(tempfile.mkdtemp(prefix="memory-use-", dir=options.work))
        try:
            for name, command in cases(release, folder, n):
                told = measured(command, folder)
                good &= told["status"] == 0
                if name is None and told["status"] == 0:
                    continue
                row = {"case": name or "unnamed", "frames": n // PER_FILE * PER_FILE, **told,
                       "load1": os.getloadavg()[0], "at": time.strftime("%Y-%m-%d")}
                print(json.dumps(row), flush=True)
                if options.out:
                    with options.out.open("a") as out:
                        out.write(json.dumps(row) + "\n")
                if told["status"] != 0:
                    break
        finally:
            shutil.rmtree(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
