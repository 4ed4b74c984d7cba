"""./x bench-msm: cases of the Markov model half beside its peers, on the same inputs.

One JSON line per case: both sides' processor and wall seconds of one run (the least of several,
taken in turns, warm), extra peak memory, the share of this machine's read bandwidth or
multiplication speed that the product reaches, a fingerprint of the result, and the ratio of
processor times. Unequal fingerprints print no ratio. Processor time is compared because it bears
other load on the machine; the wall times stand beside it.

  --cases A,B    only cases whose name begins with A or B
  --threads N    for both sides (default 1)
  --quick        small inputs and one round: are the answers equal?
  --scaling      how cost grows with frames, features, states and trajectories, and a plot of it
  --memory       peak memory of `marsfm msm build` at 10^5, 10^6 and 10^7 frames
  --alone        only marsfm's side
  --out FILE     also append the lines to FILE (plots go beside it)
  --document     nothing of this: writes docs/benchmarks/msm.md from benches/msm/results
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

import document
import inputs

HERE = Path(__file__).resolve().parent


def case(name, kind, peers, goal, flops=0.0, bytes_read=0.0, axis=None, at=None, **parameters):
    return {
        "name": name, "kind": kind, "peers": peers, "goal": goal, "flops": flops,
        "bytes": bytes_read, "axis": axis, "at": at, "parameters": parameters,
    }


def rows_case(kind, n, d, dtype, peers, goal, **more):
    size = 4 if dtype == "f4" else 8
    label = "f32" if dtype == "f4" else "f64"
    flops, written, passes, k = 0.0, 0.0, 1, more.get("k", 0)
    if kind == "tica_fit":
        flops = 3.0 * n * d * d  # symmetric C00 and full C0t
    elif kind.startswith("tica_transform"):
        flops, written = 2.0 * n * d * more["dim"], 8.0 * n * more["dim"]
    elif kind == "kmeans":
        flops, passes = 2.0 * n * d * k * more["steps"], more["steps"]
    elif kind == "assign":
        flops, written = 2.0 * n * d * k, 4.0 * n
    elif kind == "plusplus":
        passes = k  # the triangle inequality decides how much is multiplied; every centre reads all
    # TICA is done in f64 whatever the data; an f64 operation counts as two of f32.
    flops *= 2 if dtype == "f8" or kind.startswith("tica") else 1
    name = f"{kind} {n}x{d} {label}"
    return case(name, kind, peers, goal, flops, passes * n * d * size + written, n=n, d=d, dtype=dtype, **more)


def all_cases(quick):
    n = 20_000 if quick else 1_000_000
    clusters = ["deeptime", "scikit-learn"]
    out = []
    for d, goal in [(20, 5), (100, 2)]:
        for dtype in ["f4", "f8"]:
            out.append(rows_case("tica_fit", n, d, dtype, ["deeptime"], goal, lag=10))
            out.append(rows_case("tica_transform", n, d, dtype, ["deeptime"], 4, lag=10, dim=10))
            # The same into an array that is there already, as the streaming passes do.
            out.append(rows_case("tica_transform_into", n, d, dtype, ["deeptime"], 4, lag=10, dim=10))
    for dtype, goals in [("f4", {"deeptime": 8, "scikit-learn": 2}),
                         ("f8", {"deeptime": 5, "scikit-learn": 1.5})]:
        out.append(rows_case("kmeans", n, 10, dtype, clusters, goals, k=100, steps=20))
    out.append(rows_case("assign", n, 10, "f4", clusters, 8, k=100))
    out.append(rows_case("assign", n, 10, "f8", clusters, None, k=100))
    out.append(rows_case("plusplus", n, 10, "f4", clusters, 8, k=100))
    trajectories = n // 1000
    for s in [100, 1000]:
        out.append(case(f"counts n={s}", "counts", ["deeptime"], 10, 0, 8.0 * n + 8 * s * s,
                        n_trajectories=trajectories, n_frames=1000, n_states=s, lag=100))
    out.append(case("effective n=100", "effective", ["deeptime"], 30,
                    n_trajectories=10 if quick else 100, n_frames=1000, n_states=100, lag=10))
    for s, goal in [(100, 5), (1000, 3)]:
        if not (quick and s > 100):
            out.append(case(f"mle n={s}", "mle", ["deeptime"], goal, n_states=s))
    for s in [100, 1000]:
        if not (quick and s > 100):
            out.append(case(f"timescales n={s}", "timescales", ["deeptime"], 4,
                            n_trajectories=1000, n_frames=1000, n_states=s,
                            lags=[1, 2, 5, 10, 20, 30, 50, 70, 100, 150]))
    out.append(case("pcca gapped", "pcca", ["deeptime"], 20, n_states=100, m=10, coupling=1e-3, gapped=True))
    out.append(case("pcca gapless", "pcca", ["deeptime"], 20, n_states=100, m=10, coupling=None, gapped=False))
    pdb = protein()
    for kind, goal in [("rg", 10), ("torsions", 3), ("dssp", 2), ("rmsd", 1)]:
        out.append(case(f"{kind} {pdb.stem}", kind, ["mdtraj"], goal, n=200 if quick else 10_000, pdb=str(pdb)))
    xtc = sorted(map(str, inputs.EXAMPLE.glob("*.xtc")))
    out.append(case("path XTC to T", "path", ["mdtraj"], 5, pdb=str(inputs.EXAMPLE / "QLAQ.pdb"),
                    xtc=xtc, repeat=1 if quick else 2, lag=10, m=10))
    return out


def protein():
    """Ubiquitin of the reference fixtures (MARSFM_SHARED), or the small protein of the checkout."""
    ubiquitin = Path(os.environ.get("MARSFM_SHARED", "")) / "fixtures/observables/ubiquitin.pdb"
    return ubiquitin if ubiquitin.is_file() else inputs.ROOT / "examples/data/chignolin/chignolin.pdb"


def scaling_cases():
    out = []

    def add(c, axis, at):
        c["axis"], c["at"] = axis, at
        c["name"] += f" ({axis} {at})"
        out.append(c)

    for n in [30_000, 100_000, 300_000, 1_000_000]:
        add(rows_case("kmeans", n, 10, "f4", ["scikit-learn"], None, k=100, steps=20), "frames", n)
        add(rows_case("tica_fit", n, 20, "f4", ["deeptime"], None, lag=10), "frames", n)
    for d in [5, 10, 20, 50, 100]:
        add(rows_case("kmeans", 100_000, d, "f4", ["scikit-learn"], None, k=100, steps=20), "features", d)
        add(rows_case("tica_fit", 100_000, d, "f4", ["deeptime"], None, lag=10), "features", d)
    for s in [50, 100, 200, 500]:
        add(case("mle", "mle", ["deeptime"], None, n_states=s), "states", s)
        add(case("counts", "counts", ["deeptime"], None, n_trajectories=1000, n_frames=1000,
                 n_states=s, lag=10), "states", s)
    for t in [10, 100, 1000, 10_000]:
        add(case("counts", "counts", ["deeptime"], None, n_trajectories=t, n_frames=1_000_000 // t,
                 n_states=100, lag=10), "trajectories", t)
    return out


class Side:
    """A worker process of one side, with the case's inputs in its memory."""

    def __init__(self, command, threads):
        names = ["OMP", "OPENBLAS", "MKL", "RAYON"]
        environment = {**os.environ, **{f"{n}_NUM_THREADS": str(threads) for n in names}}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, order):
        print(order, file=self.process.stdin, flush=True)
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# A peer's run that takes longer than this (processor seconds) is not repeated once it is warm.
LONG = 1.5

# Relative differences that still are the same answer, by key of the fingerprint, or by case and key.
TOLERANCES = {
    "potential": 0.02, "histogram": 1e-3, "letters": 5e-4, "centers": 1e-6, "inertia": 1e-4,
    "sums": 1e-5, "mean": 1e-5, "largest": 1e-3, "mean_cos": 1e-3, "mean_sin": 1e-3, "eigenvalues": 1e-4,
    ("kmeans", "centers"): 2e-2,  # one frame at a border moves a centre of few frames
    # deeptime's reversible estimator stops when one iteration changes little (1e-8): its answer is
    # that far from the maximum which marsfm reaches. With maxerr=1e-14 it comes to the same numbers.
    ("mle", "largest_pi"): 1e-4, ("mle", "slowest"): 1e-3, ("timescales", "slowest"): 1e-4,
    ("rmsd", "mean"): 2e-4,  # MDTraj superposes in f32
    # The script drops the frames of microstates outside the connected set; other starts of k-means.
    ("path", "pairs"): 2e-2, ("path", "inertia_2pc"): 2e-2,
}


def equal(kind, ours, theirs):
    """The first difference between two fingerprints beyond rounding, or None."""
    for key in ours.keys() & theirs.keys():
        a, b = ours[key], theirs[key]
        if key == "objective":  # both maximise it: more is right
            if not a >= b * (1 - 1e-6):
                return f"{key}: {a} < {b}"
            continue
        if key == "sets" or key in ("kept", "states", "angles"):
            if a != b:
                return f"{key}: {a} and {b}"
            continue
        a, b = np.asarray(a, float), np.asarray(b, float)
        if a.shape != b.shape:
            return f"{key}: {a.shape} and {b.shape} numbers"
        scale = np.abs(b).max() if b.size else 1.0
        tolerance = TOLERANCES.get((kind, key), TOLERANCES.get(key, 1e-6))
        worst = np.abs(a - b).max() / scale if b.size else 0.0
        if not worst <= tolerance:
            return f"{key}: relative difference {worst:.2e}, {tolerance:.0e} allowed"
    return None


def limits():
    """Read bandwidth (GB/s) and multiplication speed (GFLOP/s, f32) of one thread, processor time."""
    def best(f, n=3):
        times = []
        for _ in range(n):
            start = time.process_time()
            f()
            times.append(time.process_time() - start)
        return min(times)

    x = np.ones(25_000_000)
    a = np.ones((1500, 1500), np.float32)
    bandwidth = x.nbytes / best(lambda: x.sum()) / 1e9
    gflops = 2 * 1500**3 / best(lambda: a @ a) / 1e9
    return bandwidth, gflops


def measure(c, peer, options, limit, release, folder):
    """One line: both sides of a case, or marsfm alone if there is no peer."""
    threads = options.threads
    program = str(release / "marsfm-bench-msm")
    sides = {"ours": Side([program, "work", c["kind"], str(folder), str(threads)], threads)}
    if peer:
        command = [sys.executable, str(HERE / "peer.py"), peer, c["kind"], str(folder), str(threads)]
        sides["theirs"] = Side(command, threads)
    row = {"case": c["name"], "kind": c["kind"], "threads": threads}
    if peer:
        goal = c["goal"][peer] if isinstance(c["goal"], dict) else c["goal"]
        row |= {"peer": peer, "peer_version": version(peer), "goal": goal}
    prints, best = {}, {}
    for side, worker in sides.items():
        row[side] = worker.ask("first")
        prints[side] = row[side].pop("fingerprint")
    for side, worker in sides.items():
        if row[side].get("cpu_s", 0.0) > LONG:
            best[side] = ({k: row[side][k] for k in ("wall_s", "cpu_s")}, 0)
            continue
        t = worker.ask("time 1")
        best[side] = (t, max(1, min(200, int(0.3 / max(t["wall_s"], 1e-6)))))
    for _ in range(0 if options.quick else options.rounds):
        for side, worker in sides.items():
            least, n = best[side]
            if n == 0:
                continue
            t = worker.ask(f"time {n}")
            best[side] = ({k: min(least[k], t[k]) for k in t}, n)
    for side, worker in sides.items():
        worker.close()
        row[side] |= best[side][0]
    row["load1"] = os.getloadavg()[0]
    row["fingerprint"] = {k: v for k, v in prints["ours"].items() if np.size(v) <= 12}
    floor = max(c["bytes"] / limit[0] / 1e9, c["flops"] / limit[1] / 1e9)
    if floor:
        row["share_of_limit"] = round(floor / row["ours"]["cpu_s"], 3)
    if peer:
        difference = equal(c["kind"], prints["ours"], prints["theirs"])
        if difference:
            row["unequal"] = difference
        else:
            row["ratio"] = round(row["theirs"]["cpu_s"] / row["ours"]["cpu_s"], 2)
    if c["axis"]:
        row["axis"], row["at"] = c["axis"], c["at"]
    return row


LAUNCHER = """
import json, os, sys, time
command = json.load(open(sys.argv[1]))
start = time.perf_counter()
pid = os.fork()
if pid == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(command[0], command)
_, code, usage = os.wait4(pid, 0)
print(json.dumps({"status": os.waitstatus_to_exitcode(code), "peak_mb": usage.ru_maxrss * 1024 / 1e6,
                  "cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": time.perf_counter() - start}))
"""


def memory(release, work, threads):
    """Peak memory of the program on the same files named again and again."""
    xtc = sorted(inputs.EXAMPLE.glob("*.xtc"))
    per_file = 1500
    for n in [3_000, 100_000, 1_000_000, 10_000_000]:
        folder = work / f"memory-{n}"
        folder.mkdir(parents=True, exist_ok=True)
        names = []
        for i in range(n // per_file):
            link = folder / f"{i}.xtc"
            link.unlink(missing_ok=True)
            link.symlink_to(xtc[i % len(xtc)])
            names.append(str(link))
        command = [str(release / "marsfm"), "--threads", str(threads), "msm", "build", *names, "--topology",
                   str(inputs.EXAMPLE / "QLAQ.pdb"), "--frame-ps", "1", "--out", str(folder / "m")]
        (folder / "command.json").write_text(json.dumps(command))
        # The system counts the memory of the process that starts a program as the program's own
        # peak: NumPy's 100 MB. A small process in between starts it and reads its figures.
        started = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, str(folder / "command.json")],
                                 stdout=subprocess.PIPE, check=True)
        told = json.loads(started.stdout)
        for name in names:
            os.unlink(name)
        yield {
            "case": "memory of msm build", "frames": len(names) * per_file,
            **told,
            "model_mb": (folder / "m").stat().st_size / 1e6 if (folder / "m").is_file() else None,
            "threads": threads, "load1": os.getloadavg()[0],
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--cases", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--document", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.document:
        document.write()
        return 0
    out = options.out.open("a") if options.out else None

    def tell(row):
        line = json.dumps(row)
        print(line, flush=True)
        if out:
            print(line, file=out, flush=True)

    if options.memory:
        for row in memory(options.release, options.work, options.threads):
            tell(row)
        return 0
    limit = limits()
    tell({"case": "limits", "read_gb_s": round(limit[0], 1), "f32_gflop_s": round(limit[1], 1),
          "threads": 1, "cpu": cpu_name(), "load1": os.getloadavg()[0]})
    wanted = [w for w in options.cases.split(",") if w]
    cases = scaling_cases() if options.scaling else all_cases(options.quick)
    bad = 0
    for c in cases:
        if wanted and not any(c["name"].startswith(w) for w in wanted):
            continue
        folder = options.work / "inputs" / c["name"].replace(" ", "_").replace("=", "")
        inputs.write(folder, c)
        for peer in [None] if options.alone else c["peers"]:
            try:
                row = measure(c, peer, options, limit, options.release, folder)
            except (RuntimeError, BrokenPipeError) as error:  # the other cases are still worth having
                row = {"case": c["name"], "peer": peer, "failed": str(error)}
            bad += "unequal" in row or "failed" in row
            tell(row)
        for file in folder.glob("*.npy"):  # large
            file.unlink()
        (folder / "parameters.json").unlink()
    if out and options.scaling:
        out.flush()
        program = str(options.release / "marsfm-bench-msm")
        subprocess.run([program, "plot", str(options.out), str(options.out.parent)], check=True)
    return 1 if bad else 0


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown"


if __name__ == "__main__":
    sys.exit(main())
