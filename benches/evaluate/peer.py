"""What the reference scripts do with MDTraj, deeptime (PyEMMA's successor) and SciPy, without intervals:
`peer.py TOPOLOGY LAG REFERENCE[,...] SAMPLES` prints the scores as JSON."""
import json
import sys

import mdtraj as md
import numpy as np
from deeptime.clustering import KMeans
from deeptime.decomposition import TICA
from deeptime.markov import TransitionCountEstimator
from deeptime.markov.msm import MaximumLikelihoodMSM
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

top, lag, reference, samples = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(","), sys.argv[4]
A, b = [md.load(f, top=top) for f in reference], md.load(samples, top=top)


def angles(t):
    phi, psi = md.compute_phi(t)[1], md.compute_psi(t)[1]
    chis = [md.compute_chi1, md.compute_chi2, md.compute_chi3, md.compute_chi4, md.compute_chi5]
    chi = [f(t)[1] for f in chis]
    return np.concatenate([np.stack([phi, psi], axis=2).reshape(len(t), -1)] + chi, axis=1)


features = lambda a: np.concatenate([np.cos(a), np.sin(a)], axis=1).astype(float)
x, y = [angles(t) for t in A], angles(b)
hist = lambda v, n, lo, hi: np.histogram(v, bins=n, range=(lo, hi))[0]
pooled = np.concatenate(x)
out = {
    "torsions (all)": float(
        np.mean([
            jensenshannon(hist(pooled[:, k], 100, -np.pi, np.pi), hist(y[:, k], 100, -np.pi, np.pi))
            for k in range(y.shape[1])
        ])
    )
}
estimator = TICA.covariance_estimator(lagtime=lag)
for z in x:
    f = features(z)
    estimator.partial_fit((f[:-lag], f[lag:]))
tica = TICA(lagtime=lag, epsilon=1e-6, var_cutoff=0.95, scaling="kinetic_map")
tica = tica.fit_from_covariances(estimator.fetch_model()).fetch_model()
u, v = [tica.transform(features(z)) for z in x], tica.transform(features(y))
p = np.concatenate(u)
lo, hi = np.minimum(p.min(0), v.min(0)), np.maximum(p.max(0), v.max(0))
out["TICA-0"] = float(jensenshannon(hist(p[:, 0], 100, lo[0], hi[0]), hist(v[:, 0], 100, lo[0], hi[0])))
if p.shape[1] > 1:
    grid = lambda z: np.histogram2d(z[:, 0], z[:, 1], bins=50, range=list(zip(lo[:2], hi[:2])))[0].ravel()
    out["TICA-0,1"] = float(jensenshannon(grid(p), grid(v)))
clusters = KMeans(100, max_iter=100, init_strategy="kmeans++", fixed_seed=137).fit(p).fetch_model()
d, e = [clusters.transform(z) for z in u], clusters.transform(v)
counts = TransitionCountEstimator(lag, "sliding").fit(d).fetch_model().submodel_largest()
msm = MaximumLikelihoodMSM(reversible=True).fit(counts).fetch_model()
try:
    coarse = np.full(100, -1)
    coarse[counts.state_symbols] = msm.pcca(10).assignments
    of = lambda s: np.bincount(coarse[s][coarse[s] >= 0], minlength=10)
    out["macrostates"] = float(jensenshannon(of(np.concatenate(d)), of(e)))
except Exception as error:  # PCCA+ fails on disconnected or degenerate models
    out["macrostates"] = str(error)
a = md.join(A)
rg = [md.compute_rg(t) for t in (a, b)]
low, high = min(map(np.min, rg)), max(map(np.max, rg))
q = [hist(r, 50, low, high) / len(r) + 1e-6 for r in rg]
out["Rg KL"] = float(rel_entr(q[0] / q[0].sum(), q[1] / q[1].sum()).sum())
ss = [md.compute_dssp(t, simplified=True) for t in (a, b)]
part = lambda s, c: hist((s == c).mean(axis=1), 20, 0, 1)
out["secondary structure"] = float(np.mean([jensenshannon(part(ss[0], c), part(ss[1], c)) for c in "HE"]))
if a.n_residues >= 8:
    ca = a.topology.select("name CA")
    fit = lambda t: t.atom_slice(ca).superpose(a[0].atom_slice(ca)).xyz
    z, w = fit(a), fit(b)
    rmsf = lambda s: np.sqrt(((s - s.mean(0)) ** 2).sum(2).mean(0))
    out["RMSF r"] = float(np.corrcoef(rmsf(z), rmsf(w))[0, 1])
    spread = lambda s: float(np.mean([np.sqrt(((s - f) ** 2).sum(2).mean(1)).mean() for f in s]))
    out["pairwise RMSD"] = abs(spread(w) - spread(z))
print(json.dumps(out))
