"""Torsion, Rg and secondary-structure scores of `marsfm evaluate`, computed anew with MDTraj and SciPy.

    python metrics.py TOPOLOGY.pdb REFERENCE.xtc[,…] SAMPLES.xtc[,…]      prints JSON
"""
import json
import sys

import mdtraj as md
import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

top, reference, samples = sys.argv[1:4]
load = lambda files: md.join([md.load(f, top=top) for f in files.split(",")])
a, b = load(reference), load(samples)


def backbone(t):
    """Zipped: phi of residue k+1, psi of residue k."""
    phi, psi = md.compute_phi(t)[1], md.compute_psi(t)[1]
    return np.stack([phi, psi], axis=2).reshape(len(t), -1)


def sidechain(t):
    chis = [md.compute_chi1, md.compute_chi2, md.compute_chi3, md.compute_chi4, md.compute_chi5]
    return np.concatenate([f(t)[1] for f in chis], axis=1)


hist = lambda x, bins, lo, hi: np.histogram(x, bins=bins, range=(lo, hi))[0]


def torsions(x, y):
    one = lambda p, q: jensenshannon(hist(p, 100, -np.pi, np.pi), hist(q, 100, -np.pi, np.pi))
    return [one(x[:, k], y[:, k]) for k in range(x.shape[1])]


def pairs(x, y, which):
    grid = lambda z, i, j: np.histogram2d(z[:, i], z[:, j], bins=50, range=[[-np.pi, np.pi]] * 2)[0].ravel()
    return float(np.mean([jensenshannon(grid(x, i, j), grid(y, i, j)) for i, j in which]))


bb, sc = torsions(backbone(a), backbone(b)), torsions(sidechain(a), sidechain(b))
# Rg of the residues' own heavy atoms: the terminal OXT is no part of the 14-atom residue.
rg = [md.compute_rg(t) for t in (a, b)]
lo, hi = min(map(np.min, rg)), max(map(np.max, rg))
p, q = (hist(x, 50, lo, hi) / len(x) + 1e-6 for x in rg)
dssp = [md.compute_dssp(t, simplified=True) for t in (a, b)]
part = lambda d, c: hist((d == c).mean(axis=1), 20, 0, 1)
print(json.dumps({
    "torsions (all)": float(np.mean(bb + sc)),
    "torsions (backbone)": float(np.mean(bb)),
    "torsions (side chain)": float(np.mean(sc)),
    "torsion pairs (columns 1,2 and 3,4)": pairs(backbone(a), backbone(b), [(1, 2), (3, 4)]),
    "torsion pairs (phi, psi of inner residues)": pairs(backbone(a), backbone(b), [(0, 3), (2, 5)]),
    "Rg KL": float(rel_entr(p / p.sum(), q / q.sum()).sum()),
    "secondary structure": float(np.mean([jensenshannon(part(dssp[0], c), part(dssp[1], c)) for c in "HE"])),
}))
