"""Inputs of the cases, the same files for both sides."""

import json
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/data/QLAQ"


def processes(n, d, dtype):
    """Mixed AR(1) processes: a few slow ones among noise."""
    rng = np.random.default_rng(5)
    x = np.empty((n, d), dtype)
    rates = np.concatenate([[0.999, 0.995, 0.98, 0.95], np.full(d, 0.3)])[:d]
    for i, a in enumerate(rates):
        x[:, i] = lfilter([np.sqrt(1 - a * a)], [1, -a], rng.standard_normal(n))
    mix = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(dtype)
    for start in range(0, n, 65536):
        x[start : start + 65536] = x[start : start + 65536] @ mix
    return x


def blobs(n, d, dtype):
    """150 groups of unequal size that overlap."""
    rng = np.random.default_rng(6)
    centers = 3 * rng.standard_normal((150, d))
    group = rng.choice(150, n, p=rng.dirichlet(np.ones(150)))
    x = np.empty((n, d), dtype)
    for start in range(0, n, 65536):
        g = group[start : start + 65536]
        x[start : start + 65536] = centers[g] + rng.standard_normal((len(g), d))
    return x


def walks(n_trajectories, n_frames, n_states):
    """Walkers in a row of wells."""
    rng = np.random.default_rng(7)
    grid = np.linspace(0, 4 * np.pi, n_states)
    energy = 2 * np.cos(grid) + 0.1 * grid
    s = rng.integers(0, n_states, n_trajectories)
    reach = max(1, n_states // 30)
    out = np.empty((n_frames, n_trajectories), np.int32)
    for t in range(n_frames):
        to = s + rng.integers(-reach, reach + 1, n_trajectories)
        inside = (to >= 0) & (to < n_states)
        to = np.where(inside, to, s)
        accept = rng.random(n_trajectories) < np.exp(energy[s] - energy[to])
        s = np.where(accept, to, s)
        out[t] = s
    return np.ascontiguousarray(out.T)


def planted(n, m, coupling):
    """A reversible matrix of m blocks; without a gap (coupling None) a walk in a row."""
    rng = np.random.default_rng(8)
    if coupling is None:
        c = np.diag(np.full(n, 4.0)) + np.diag(np.full(n - 1, 3.0), 1) + np.diag(np.full(n - 1, 3.0), -1)
    else:
        block = np.arange(n) * m // n
        c = np.where(block[:, None] == block[None], 1.0, coupling) * rng.uniform(0.5, 1, (n, n))
        c = c + c.T
    return c / c.sum(axis=1, keepdims=True)


def chain_frames(pdb, n):
    """The atoms of a PDB file, shaken and turned."""
    import mdtraj

    rng = np.random.default_rng(9)
    start = mdtraj.load(str(pdb)).xyz[0]
    q = rng.standard_normal((n, 4))
    a, b, c, d = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    turn = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d],
    ]).transpose(2, 0, 1)
    xyz = np.empty((n, len(start), 3), np.float32)
    for i in range(n):
        xyz[i] = (start + rng.normal(0, 0.004, start.shape)) @ turn[i].T
    return xyz


def write(folder, case):
    """Writes the inputs of a case; parameters.json last, so that it marks a complete folder."""
    p = dict(case["parameters"])
    mark = folder / "parameters.json"
    if mark.is_file() and json.loads(mark.read_text()) == p:
        return
    folder.mkdir(parents=True, exist_ok=True)
    kind, dtype = case["kind"], np.dtype(p.get("dtype", "f8"))
    if kind in ("tica_fit", "tica_transform", "tica_transform_into"):
        np.save(folder / "x.npy", processes(p["n"], p["d"], dtype))
    elif kind in ("kmeans", "assign", "plusplus"):
        x = blobs(p["n"], p["d"], dtype)
        np.save(folder / "x.npy", x)
        pick = np.random.default_rng(10).choice(len(x), p["k"], replace=False)
        np.save(folder / "centers.npy", x[pick].astype(np.float64))
    elif kind in ("counts", "effective", "timescales"):
        np.save(folder / "states.npy", walks(p["n_trajectories"], p["n_frames"], p["n_states"]))
    elif kind == "mle":
        s, n = walks(1000, 1000, p["n_states"]), p["n_states"]
        c = np.bincount(s[:, :-10].ravel() * n + s[:, 10:].ravel(), minlength=n * n)
        c = c.reshape(n, n).astype(np.float64)
        seen = np.flatnonzero(c.sum(axis=1) + c.sum(axis=0))
        np.save(folder / "counts.npy", np.ascontiguousarray(c[np.ix_(seen, seen)]))
    elif kind == "pcca":
        np.save(folder / "t.npy", planted(p["n_states"], p["m"], p["coupling"]))
    elif kind in ("rg", "torsions", "dssp", "rmsd"):
        np.save(folder / "xyz.npy", chain_frames(p["pdb"], p["n"]))
    mark.write_text(json.dumps(p))
