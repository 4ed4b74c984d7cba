"""Writes docs/benchmarks/surrogate.md: document.md with the tables made of the raw lines in results/.

usage: document.py RESULTS DOCUMENT.md OUT.md
"""

import copy
import json
import sys
from pathlib import Path

#: Least ratio that the project wants, by kind of case.
GOALS = {"velocity": 1.5, "tree": 10.0, "step": 1.0}
#: Multiplications and additions of the linear layers: conditioning per residue, denoising per residue
#: and frame, time per sample.
IPA, DIT, TIME, FRAMES = 2 * 10.6e6, 2 * 11.8e6, 2 * 11.5e6, 2


def words(case):
    kind, residues, batch = case.split()
    return kind, int(residues.split("=")[1]), int(batch.split("=")[1])


def seconds(s):
    return f"{1e3 * s:.3g} ms" if s < 1 else f"{s:.3g} s"


def least(lines):
    """Each case on each processor, on both sides the least of all lines; and the most that the matrix
    library did. (Other users of a shared machine only ever add time.)"""
    rates, cases = {}, {}
    for x in lines:
        if "matrix_library" in x:
            rates[x["cpu"]] = max(x["matrix_library"]["gflop_per_s"], rates.get(x["cpu"], 0))
            continue
        best = cases.setdefault((x["cpu"], x["case"]), copy.deepcopy(x))
        for side in ("marsfm", "reference"):
            for unit in ("cpu_s", "wall_s"):
                best[side][unit] = min(best[side][unit], x[side][unit])
        if "ratio" not in x:
            best.pop("ratio", None)
        elif "ratio" in best:
            best["ratio"] = (best["reference"]["cpu_s"] * best.get("reference_evaluations", 1)
                             / best["marsfm"]["cpu_s"])
    return list(cases.values()), rates


def table(lines):
    cases, rates = least(lines)
    out = ["| processor | case | marsfm | reference | ratio | goal | of the matrix rate | peak memory, MB: marsfm, reference |",
           "|---|---|---|---|---|---|---|---|"]
    for x in cases:
        kind, residues, batch = words(x["case"])
        mine, theirs = x["marsfm"]["cpu_s"], x["reference"]["cpu_s"]
        share = ""
        if kind == "velocity":
            work = residues * batch * (IPA + FRAMES * DIT) + batch * TIME
            share = f"{100 * work / mine / rates[x['cpu']] / 1e9:.0f} %" if x["threads"] == 1 else ""
        if kind == "tree":
            theirs *= x["reference_evaluations"]
        out.append(f"| {x['cpu'].split()[0]} | {x['case']} | {seconds(mine)} | {seconds(theirs)} | "
                   f"**{x['ratio']:.2f}** | {GOALS[kind]} | {share} | {x['marsfm']['peak_mb']:.0f}, "
                   f"{x['reference']['peak_mb']:.0f} |")
    below = [f"{x['case']} on {x['cpu'].split()[0]} ({x['ratio']:.2f} of {GOALS[words(x['case'])[0]]})"
             for x in cases if x["ratio"] < GOALS[words(x["case"])[0]]]
    out += ["", f"Below their goals: {'; '.join(below) or 'none'}. The matrix library does " +
            ", ".join(f"{rate:.0f} GFLOP/s on {cpu.split()[0]}" for cpu, rate in rates.items()) + "."]
    return "\n".join(out)


def threads(one, two):
    def wall(lines):
        return {(x["cpu"], x["case"]): x["marsfm"]["wall_s"] for x in least(lines)[0]}

    a, b = wall(one), wall(two)
    out = ["| processor | case | 1 thread, wall | 2 threads, wall | times faster |", "|---|---|---|---|---|"]
    out += [f"| {k[0].split()[0]} | {k[1]} | {seconds(a[k])} | {seconds(b[k])} | {a[k] / b[k]:.2f} |"
            for k in a if k in b]
    return "\n".join(out)


def main():
    results, document, out = map(Path, sys.argv[1:])
    read = {p.stem: [json.loads(line) for line in p.read_text().splitlines()]
            for p in sorted(results.glob("*.jsonl"))}
    text = document.read_text().replace("@one@", table(read["threads-1"]))
    text = text.replace("@two@", threads(read["threads-1"], read["threads-2"]))
    out.write_text(text)


if __name__ == "__main__":
    main()
