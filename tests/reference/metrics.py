"""Scores of `marsfm evaluate`, computed anew with MDTraj, SciPy and deeptime.

    python metrics.py TOPOLOGY.pdb NATIVE.pdb LAG_FRAMES KELVIN STATES.json REFERENCE.xtc[,…] SAMPLES.xtc[,…]

prints JSON. Features, TICA, superposition, contacts, torsions and their memory are computed from the
coordinates; what follows from state sequences (populations, T, timescales, first-passage times,
flux) from the states that the program wrote.
"""
import json
import sys

import deeptime as dt
import mdtraj as md
import numpy as np
from deeptime.markov import TransitionCountEstimator
from deeptime.markov.msm import MaximumLikelihoodMSM
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import pearsonr

top, native, lag, kelvin, states, reference, samples = sys.argv[1:8]
lag, kelvin = int(lag), float(kelvin)
load = lambda files: [md.load(f, top=top) for f in files.split(",")]
A, B = load(reference), load(samples)
a, b = md.join(A), md.join(B)
out = {}


def backbone(t):
    """Zipped: phi of residue k+1, psi of residue k."""
    phi, psi = md.compute_phi(t)[1], md.compute_psi(t)[1]
    return np.stack([phi, psi], axis=2).reshape(len(t), -1).astype(float)


def sidechain(t):
    chis = [md.compute_chi1, md.compute_chi2, md.compute_chi3, md.compute_chi4, md.compute_chi5]
    return np.concatenate([f(t)[1] for f in chis], axis=1).astype(float)


hist = lambda x, bins, lo, hi: np.histogram(x, bins=bins, range=(lo, hi))[0]


def torsions(x, y):
    one = lambda p, q: jensenshannon(hist(p, 100, -np.pi, np.pi), hist(q, 100, -np.pi, np.pi))
    return [one(x[:, k], y[:, k]) for k in range(x.shape[1])]


def pairs(x, y, which):
    grid = lambda z, i, j: np.histogram2d(z[:, i], z[:, j], bins=50, range=[[-np.pi, np.pi]] * 2)[0].ravel()
    return float(np.mean([jensenshannon(grid(x, i, j), grid(y, i, j)) for i, j in which]))


bb, sc = torsions(backbone(a), backbone(b)), torsions(sidechain(a), sidechain(b))
out["torsions (all)"] = float(np.mean(bb + sc))
out["torsions (backbone)"] = float(np.mean(bb))
out["torsions (side chain)"] = float(np.mean(sc))
if len(bb) == 6:
    out["torsion pairs (columns 1,2 and 3,4)"] = pairs(backbone(a), backbone(b), [(1, 2), (3, 4)])
    out["torsion pairs (phi, psi of inner residues)"] = pairs(backbone(a), backbone(b), [(0, 3), (2, 5)])


def features(t):
    angles = np.concatenate([backbone(t), sidechain(t)], axis=1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(len(t), -1)


# TICA: symmetrised covariances over the pairs of each replica. Signs and scales of the coordinates
# do not matter to histograms between joint extremes.
moments = dt.decomposition.TICA.covariance_estimator(lagtime=lag)
pooled = dt.decomposition.TICA(lagtime=lag, epsilon=1e-6, dim=2, scaling="kinetic_map")
for t in A:
    x = features(t)
    if len(x) > lag:
        moments.partial_fit((x[:-lag], x[lag:]))
model = pooled.fit_from_covariances(moments.fetch_model()).fetch_model()
u, v = (model.transform(features(t))[:, :2] for t in (a, b))
edges = [(min(u[:, k].min(), v[:, k].min()), max(u[:, k].max(), v[:, k].max())) for k in (0, 1)]
out["TICA-0"] = float(jensenshannon(hist(u[:, 0], 100, *edges[0]), hist(v[:, 0], 100, *edges[0])))
plane = lambda z: np.histogram2d(z[:, 0], z[:, 1], bins=50, range=edges)[0].ravel()
out["TICA-0,1"] = float(jensenshannon(plane(u), plane(v)))

rg = [md.compute_rg(t) for t in (a, b)]
lo, hi = min(map(np.min, rg)), max(map(np.max, rg))
p, q = (hist(x, 50, lo, hi) / len(x) + 1e-6 for x in rg)
out["Rg KL"] = float(rel_entr(p / p.sum(), q / q.sum()).sum())
dssp = [md.compute_dssp(t, simplified=True) for t in (a, b)]
part = lambda d, c: hist((d == c).mean(axis=1), 20, 0, 1)
out["secondary structure"] = float(np.mean([jensenshannon(part(dssp[0], c), part(dssp[1], c)) for c in "HE"]))

# Fluctuations and folding, on the native structure.
if a.n_residues >= 8:
    n = md.load(native)
    own = n.topology.select("name CA")
    ca = a.topology.select("name CA")
    fit = lambda t: t.atom_slice(ca).superpose(n.atom_slice(own)).xyz.astype(float)
    x, y = fit(a), fit(b)
    rmsf = lambda z: np.sqrt(((z - z.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
    out["RMSF r (Cα)"] = float(pearsonr(rmsf(x), rmsf(y))[0])
    spread = lambda z: np.mean([np.sqrt(((z - f) ** 2).sum(axis=2).mean(axis=1)).mean() for f in z])
    out["pairwise RMSD difference (nm)"] = float(abs(spread(y) - spread(x)))
    d0 = 10 * np.linalg.norm(n.xyz[0, own][:, None].astype(float) - n.xyz[0, own][None], axis=2)
    i, j = np.where((np.abs(np.subtract.outer(range(len(d0)), range(len(d0)))) > 3) & (d0 <= 10))
    if len(i):
        kt = 0.001987203599772605 * kelvin

        def delta_g(t, least):
            z = 10 * t.xyz[:, ca].astype(float)
            d = np.linalg.norm(z[:, i] - z[:, j], axis=2)
            q = (1 / (1 + np.exp(5 * (d - 1.2 * d0[i, j])))).mean(axis=1)
            p = np.clip((1 / (1 + np.exp(-20 * (q - 0.5)))).mean(), least, 1 - least)
            return -kt * np.log(p / (1 - p))

        out["ΔG_fold error (kcal/mol)"] = float(abs(delta_g(b, 1e-10) - delta_g(a, 1e-10)))
        out["ΔG_fold error, p clipped at 0.5/n (kcal/mol)"] = float(
            abs(delta_g(b, 0.5 / len(b)) - delta_g(a, 0.5 / len(a)))
        )


def decorrelation(replicas):
    """1/e times of the torsions, frames."""
    angles = [np.concatenate([backbone(t), sidechain(t)], axis=1) for t in replicas]
    times = []
    for k in range(angles[0].shape[1]):
        lags = min(1000, max(map(len, angles)) - 1) + 1
        sums, counts = np.zeros(lags), np.zeros(lags)
        for z in angles:
            z = z[:, k]
            for w in (np.sin(z), np.cos(z)):
                m = min(lags, len(z))
                sums[:m] += np.correlate(w, w, "full")[len(w) - 1 :][:m]
            counts[:m] += len(z) - np.arange(m)
        every = np.concatenate([z[:, k] for z in angles])
        base = np.sin(every).mean() ** 2 + np.cos(every).mean() ** 2
        curve = (sums / counts - base) / (1 - base)
        below = np.where(curve < np.exp(-1))[0]
        if len(below) == 0 or below[0] == 0:
            times.append(np.nan)
        else:
            c = below[0]
            times.append(c - 1 + (curve[c - 1] - np.exp(-1)) / (curve[c - 1] - curve[c]))
    return np.array(times)


ratio = np.abs(np.log10(decorrelation(B) / decorrelation(A)))
out["decorrelation times (|log10|)"] = float(np.nanmean(ratio))

# From the states.
s = json.load(open(states))
cut = lambda side, what: [np.array(s[f"{side}_{what}"][r["start"] : r["end"]]) for r in s[f"{side}_segments"]]
k = 1 + max(x for x in s["macro_of_micro"] if x is not None)
macro = {side: np.bincount(np.concatenate(cut(side, "macro")), minlength=k)[:k] for side in ("reference", "sample")}
p, q = (macro[side] / macro[side].sum() for side in ("reference", "sample"))
out["macrostates"] = float(jensenshannon(p, q))
f = 0.001987203599772605 * kelvin * (np.log(p[p > 0]) - np.log(np.maximum(q[p > 0], 0.5 / macro["sample"].sum())))
out["macrostate MAE (kcal/mol)"] = float(np.abs(f - f.mean()).mean())


def kinetics(side):
    count = lambda what, n: TransitionCountEstimator(lag, "sliding", n_states=n).fit_fetch(
        [x for x in cut(side, what) if len(x) > lag]
    )
    c = count("macro", k).count_matrix
    c = np.asarray(c.todense() if hasattr(c, "todense") else c, dtype=float)
    rows = np.divide(c, c.sum(axis=1, keepdims=True), out=np.zeros_like(c), where=c.sum(axis=1, keepdims=True) > 0)
    micro = count("micro", len(s["macro_of_micro"])).submodel_largest(connectivity_threshold=0.0)
    msm = MaximumLikelihoodMSM(reversible=True, maxerr=1e-12, maxiter=10**7).fit(micro).fetch_model()
    sets = [[r for r, m in enumerate(micro.state_symbols) if s["macro_of_micro"][m] == i] for i in range(k)]
    mfpt = np.full((k, k), np.nan)
    for i in range(k):
        for j in range(k):
            if i != j and sets[i] and sets[j]:
                mfpt[i, j] = msm.mfpt(sets[i], sets[j])
    i, j = s["ends"]
    flux = msm.reactive_flux(sets[i], sets[j]).total_flux if sets[i] and sets[j] else np.nan
    return rows, msm.timescales(k=3), mfpt, flux


(t1, its1, m1, f1), (t2, its2, m2, f2) = kinetics("reference"), kinetics("sample")
both = (t1.sum(axis=1) > 0) & (t2.sum(axis=1) > 0)
weight = p * both
out["state-to-state T"] = float(sum(w * jensenshannon(x, y) for w, x, y, ok in zip(weight, t1, t2, both) if ok) / weight.sum())
log = lambda x, y: float(np.nanmean(np.abs(np.log10(np.asarray(y) / np.asarray(x)))))
n = min(len(its1), len(its2))
out["implied timescales (|log10|)"] = log(its1[:n], its2[:n])
out["first-passage times (|log10|)"] = log(m1, m2)
out["reactive flux (|log10|)"] = log([f1], [f2])
print(json.dumps(out))
