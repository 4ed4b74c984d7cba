"""docs/benchmarks/msm.md from the raw lines in benches/msm/results."""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parents[1] / "docs/benchmarks/msm.md"


def rows(name):
    """The newest line of each case and peer of one results file, with the processor that the line of
    limits before it names; empty if there is no such file."""
    path = RESULTS / f"{name}.jsonl"
    if not path.is_file():
        return []
    found, processor = {}, None
    for line in path.read_text().splitlines():
        row = json.loads(line)
        limits = row["case"] == "limits"
        processor = row["cpu"] if limits else processor
        kind = processor if limits else row.get("peer")
        found[row["case"], kind, row.get("threads"), row.get("frames")] = row | {"processor": processor}
    return list(found.values())


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(out + ["| " + " | ".join(map(str, line)) + " |" for line in lines])


def figure(x):
    """Three digits."""
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"


def one_thread():
    found = rows("one-thread")
    compared = [r for r in found if "ratio" in r]
    lines = []
    for r in compared:
        share = f"{100 * r['share_of_limit']:.0f} %" if "share_of_limit" in r else "–"
        lines.append([
            r["case"], f"{r['peer']} {r['peer_version']}", figure(r["ours"]["cpu_s"]),
            figure(r["theirs"]["cpu_s"]), f"**{figure(r['ratio'])}**", r["goal"] or "–", share,
            f"{r['ours']['peak_extra_mb']:.0f}, {r['theirs']['peak_extra_mb']:.0f}", r["processor"].split()[0],
        ])
    head = ["case", "peer", "marsfm (s)", "peer (s)", "ratio", "goal", "share of the limit",
            "extra memory, MB: marsfm, peer", "processor"]
    below = [r for r in compared if r["goal"] and r["ratio"] < r["goal"]]
    missed = "; ".join(f"{r['case']} beside {r['peer']}: {figure(r['ratio'])} of {r['goal']}" for r in below)
    unequal = [f"{r['case']} ({r['peer']}): {r['unequal']}" for r in found if "unequal" in r]
    text = table(head, lines) + f"\n\nBelow their goals: {missed or 'none'}."
    if unequal:
        text += "\n\nNot compared, because the answers differ: " + "; ".join(unequal) + "."
    return text


def two_threads():
    found = [r for r in rows("two-threads") if "ours" in r]
    one = {r["case"]: r for r in rows("one-thread") if "ours" in r}
    # One thread of the same minutes says more, where it was measured.
    one |= {r["case"]: r for r in found if r["threads"] == 1}
    lines = []
    for r in found:
        if r["threads"] == 2 and r["case"] in one:
            alone, busiest = one[r["case"]]["ours"]["cpu_s"], r["ours"]["busiest_thread_s"]
            lines.append([r["case"], figure(alone), figure(r["ours"]["cpu_s"]), figure(busiest),
                          f"**{alone / busiest:.2f}**"])
    head = ["case", "one thread (s)", "two, both (s)", "two, the busier (s)", "one / busier"]
    return table(head, lines)


def memory():
    found = sorted((r for r in rows("memory") if r.get("status") == 0), key=lambda r: r["frames"])
    lines = [[f"{r['frames']:,}", figure(r["peak_mb"]), figure(r["model_mb"]), figure(r["cpu_s"])]
             for r in found]
    head = ["frames", "peak memory (MB)", "model file (MB)", "processor time (s)"]
    text = table(head, lines)
    if len(found) >= 2:
        # Only what belongs to trajectories grows; the files hold 1500 frames each.
        (a, b), base = found[-2:], found[0]
        slope = (b["peak_mb"] - a["peak_mb"]) * 1e6 / (b["frames"] - a["frames"])
        at = 1e9
        peak = b["peak_mb"] + slope * (at - b["frames"]) / 1e6
        cpu = b["cpu_s"] * at / b["frames"]
        text += (f"\n\nThat is {b['peak_mb'] - base['peak_mb']:.0f} MB more than the program needs for a handful of "
                 f"frames (goal: 32). Between the last two rows memory grows by {slope:.1f} bytes per frame, or "
                 f"{slope * 1500:.0f} per trajectory of 1500 frames: names, lengths, digests, and buffers that are "
                 f"full only once. Were all of it to go on growing, 10^9 frames in 670,000 such files would need "
                 f"{peak / 1000:.1f} GB; in files of a million frames, {b['peak_mb']:.0f} MB. Processor time at 10^9 "
                 f"frames: {cpu / 3600:.1f} hours of one processor, in three passes.")
    return text


def write():
    limits = [r for r in rows("one-thread") if r["case"] == "limits"]
    loads = [r["load1"] for r in rows("one-thread") if "load1" in r]
    plots = sorted(p.name for p in RESULTS.glob("scaling-*.svg"))
    words = (HERE / "document.md").read_text()
    machine = "; ".join(
        f"{limit['cpu']}, one thread reads {limit['read_gb_s']} GB/s and multiplies "
        f"{limit['f32_gflop_s']} GFLOP/s in f32 (half of that in f64)" for limit in limits
    ) + f"; load {min(loads):.0f} to {max(loads):.0f}" if limits else "–"
    pictures = "\n".join(f"![cost over {p[8:-4]}](../../benches/msm/results/{p})" for p in plots)
    parts = {"MACHINE": machine, "ONE_THREAD": one_thread(), "TWO_THREADS": two_threads(),
             "MEMORY": memory(), "PLOTS": pictures}
    for name, text in parts.items():
        words = words.replace("{" + name + "}", text)
    PAGE.write_text(words)
