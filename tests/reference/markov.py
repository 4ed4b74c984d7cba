"""What deeptime and MDTraj make of the trajectories and the microstates of a marsfm model.

    python markov.py MODEL.safetensors TOPOLOGY.pdb TICA_LAG MSM_LAG MACROSTATES TRAJECTORY…

prints JSON. TICA starts from the trajectory files; everything behind it from the microstates in the
model file, because two k-means never find the same centres.
"""
import json
import sys

import mdtraj as md
import numpy as np
from deeptime.decomposition import TICA
from deeptime.markov import TransitionCountEstimator, pcca
from deeptime.markov.msm import MaximumLikelihoodMSM

model, topology, tica_lag, msm_lag, macrostates = sys.argv[1:6]
tica_lag, msm_lag, macrostates = int(tica_lag), int(msm_lag), int(macrostates)

with open(model, "rb") as file:
    size = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(size))
    data = file.read()


def tensor(name):
    of = header[name]
    dtype = {"F64": "<f8", "I16": "<i2", "I64": "<i8"}[of["dtype"]]
    start, end = of["data_offsets"]
    return np.frombuffer(data[start:end], dtype).reshape(of["shape"])


def trajectories(name):
    return np.split(tensor(name), tensor(name + ".offsets")[1:-1])


kinds = [md.compute_phi, md.compute_psi, md.compute_chi1, md.compute_chi2, md.compute_chi3,
         md.compute_chi4, md.compute_chi5]
tica = TICA(lagtime=tica_lag, var_cutoff=0.95)
for name in sys.argv[6:]:
    frames = md.load(name, top=topology)
    angles = np.concatenate([kind(frames)[1] for kind in kinds], axis=1).astype(float)
    x = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    tica.partial_fit((x[:-tica_lag], x[tica_lag:]))
tica = tica.fetch_model()

micro = [t.astype(np.int32) for t in trajectories("micro.trajectories")]
# Every microstate that a frame is in has a macrostate.
owner = json.loads(header["__metadata__"]["marsfm_msm"])["model"]["macro_of_micro"]
owner = np.array([-1 if m is None else m for m in owner])
n = len(tensor("centers"))


def reversible(lag):
    counts = TransitionCountEstimator(lag, "sliding", n_states=n).fit(micro).fetch_model()
    # The largest set by frames, as marsfm chooses it.
    counts = counts.submodel(np.sort(counts.connected_sets(sort_by_population=True)[0]))
    return counts, MaximumLikelihoodMSM(reversible=True, maxerr=1e-14, maxiter=10**6).fit(counts).fetch_model()


counts, msm = reversible(msm_lag)
t, pi = msm.transition_matrix, msm.stationary_distribution
chi = pcca(t, macrostates).memberships
coarse = TransitionCountEstimator(msm_lag, "sliding", n_states=len(tensor("macro.t")))
lags = sorted(int(name.split("_")[-1]) for name in header if name.startswith("timescales.lag_"))
print(json.dumps({
    "tica_eigenvalues": tica.singular_values.tolist(),
    "tica_kept": int(tica.output_dimension),
    "active": counts.state_symbols.tolist(),
    "t": t.ravel().tolist(),
    "pi": pi.tolist(),
    "macro_counts": coarse.fit([owner[t] for t in micro]).fetch_model().count_matrix.ravel().tolist(),
    "slowest": {str(lag): float(reversible(lag)[1].timescales(k=1)[0]) for lag in lags},
    "pcca_objective": float(np.trace((chi.T * pi) @ chi / (chi.T @ pi)[:, None])),
}))
