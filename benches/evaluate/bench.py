"""./x bench-evaluate: `marsfm evaluate` beside a script of MDTraj, deeptime and SciPy on the same
frames, each as a program, start and reading of files included. marsfm's time includes 200 bootstrap
resamples, floors and MD noise, which the script does not compute. CPU seconds (user + system, the
minimum of the rounds) stand beside wall seconds, because machines are rarely idle."""
import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import inputs

HERE = Path(__file__).resolve().parent


def timed(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(done.stdout)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--release", type=Path, required=True)
parser.add_argument("--work", type=Path, required=True)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--out", type=Path, default=HERE / "results" / "results.json")
a = parser.parse_args()
data = HERE.parent.parent / "examples/data"
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(a.threads)
cases = {
    "10,000 conformations of a tetrapeptide, 40,000 reference frames": (inputs.tetrapeptide, "10", 10),
    "1,000 frames of 250 residues, 1,000 reference frames": (inputs.domain, "50000", 50),
}
results = []
for name, (make, lag_ps, lag) in cases.items():
    top, reference, samples = make(data, a.work)
    ours = [str(a.release / "marsfm"), "--threads", str(a.threads), "evaluate", "--json", "--topology", top]
    ours += ["--reference", *reference, "--samples", samples, "--lag", lag_ps]
    theirs = [sys.executable, str(HERE / "peer.py"), top, str(lag), ",".join(reference), samples]
    row = {"case": name, "threads": a.threads, "rounds": a.rounds}
    for who, command in (("marsfm", ours), ("script", theirs)):
        runs = [timed(command) for _ in range(a.rounds)]
        row[who] = {"wall_s": round(min(r[0] for r in runs), 2), "cpu_s": round(min(r[1] for r in runs), 2)}
        if who == "marsfm":
            scores = {s["name"]: s["value"] for s in runs[0][2]["scores"]}
            row["scores"] = {k: [scores[k]] for k in ("torsions (all)", "TICA-0", "Rg KL") if k in scores}
        else:
            for k in row["scores"]:
                row["scores"][k].append(runs[0][2][k])
    row["script_over_marsfm_cpu"] = round(row["script"]["cpu_s"] / row["marsfm"]["cpu_s"], 1)
    print(f"{name}: marsfm {row['marsfm']}, script {row['script']}: {row['script_over_marsfm_cpu']} x", flush=True)
    results.append(row)
machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}
a.out.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
