"""Writes docs/benchmarks/surrogate.md: document.md with the tables made of the raw lines in results/.

usage: document.py RESULTS DOCUMENT.md OUT.md
"""

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


def table(lines):
    rate = next(x["matrix_library"]["gflop_per_s"] for x in lines if "matrix_library" in x)
    loads = [x["load"] for x in lines if "case" in x]
    out = [f"The matrix library does {rate:.0f} GFLOP/s here; load {min(loads):.0f} to "
           f"{max(loads):.0f}.", "",
           "| case | marsfm | reference | ratio | goal | of the matrix rate | peak memory, MB: marsfm, reference |",
           "|---|---|---|---|---|---|---|"]
    for x in (x for x in lines if "case" in x):
        kind, residues, batch = words(x["case"])
        mine, theirs = x["marsfm"]["cpu_s"], x["reference"]["cpu_s"]
        share = ""
        if kind == "velocity":
            work = residues * batch * (IPA + FRAMES * DIT) + batch * TIME
            share = f"{100 * work / mine / rate / 1e9:.0f} %" if x["threads"] == 1 else ""
        if kind == "tree":
            theirs *= x["reference_evaluations"]
        out.append(f"| {x['case']} | {seconds(mine)} | {seconds(theirs)} | **{x['ratio']:.2f}** | "
                   f"{GOALS[kind]} | {share} | {x['marsfm']['peak_mb']:.0f}, "
                   f"{x['reference']['peak_mb']:.0f} |")
    return "\n".join(out)


def threads(one, two):
    def wall(lines):
        return {x["case"]: x["marsfm"]["wall_s"] for x in lines if "case" in x}

    a, b = wall(one), wall(two)
    out = ["| case | 1 thread, wall | 2 threads, wall | times faster |", "|---|---|---|---|"]
    out += [f"| {c} | {seconds(a[c])} | {seconds(b[c])} | {a[c] / b[c]:.2f} |" for c in a if c in b]
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
