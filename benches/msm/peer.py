"""The peers' side of the bench: `peer.py PEER CASE FOLDER THREADS` loads the inputs of CASE from
FOLDER, answers `ready`, then answers `first` (peak memory and fingerprint of one run) and `time N`
(seconds of one of N runs), as marsfm-bench-msm does for the product."""

import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")


def sizes(result):
    """Bytes of the arrays that a run returns, which are not extra memory."""
    if isinstance(result, np.ndarray):
        return result.nbytes
    if isinstance(result, (list, tuple)):
        return sum(map(sizes, result))
    return 0


class Deeptime:
    def tica_fit(self, f, p):
        from deeptime.decomposition import TICA

        x = np.load(f / "x.npy")
        pairs = (x[: -p["lag"]], x[p["lag"] :])

        def run():
            return TICA(lagtime=p["lag"], var_cutoff=0.95).fit(pairs).fetch_model()

        def fingerprint(m):
            return {"kept": m.output_dimension, "eigenvalues": m.singular_values[:10].tolist()}

        return run, fingerprint

    def tica_transform(self, f, p):
        from deeptime.decomposition import TICA

        x = np.load(f / "x.npy")
        model = TICA(lagtime=p["lag"], dim=p["dim"]).fit(x).fetch_model()
        return lambda: model.transform(x), lambda y: {"sums": np.abs(y).sum(axis=0).tolist()}

    tica_transform_into = tica_transform  # it always makes a new array

    def kmeans(self, f, p):
        from deeptime.clustering import KMeans

        x, c = np.load(f / "x.npy"), np.load(f / "centers.npy")
        c = c.astype(x.dtype)

        def run():
            k = KMeans(len(c), max_iter=p["steps"], tolerance=0, initial_centers=c, n_jobs=p["threads"])
            return k.fit(x).fetch_model()

        def fingerprint(m):
            return {"inertia": float(m.inertia), "centers": m.cluster_centers.ravel().tolist()}

        return run, fingerprint

    def assign(self, f, p):
        from deeptime.clustering import ClusterModel

        x, c = np.load(f / "x.npy"), np.load(f / "centers.npy")
        model = ClusterModel(c.astype(x.dtype))
        k = len(c)
        return (
            lambda: model.transform(x, n_jobs=p["threads"]),
            lambda s: {"histogram": np.bincount(s, minlength=k).tolist()},
        )

    def plusplus(self, f, p):
        from deeptime.clustering import KMeans, kmeans_plusplus

        x = np.load(f / "x.npy")
        state = {"seed": 0}

        def run():
            state["seed"] += 1
            return kmeans_plusplus(x, p["k"], seed=state["seed"], n_jobs=p["threads"])

        return run, lambda c: {"potential": median_potential(x, run, c)}

    def counts(self, f, p, mode="sliding"):
        from deeptime.markov import TransitionCountEstimator

        states = list(np.load(f / "states.npy"))
        estimator = TransitionCountEstimator(p["lag"], mode, n_states=p["n_states"])

        def fingerprint(model):
            c = np.asarray(model.count_matrix)
            return {
                "total": c.sum(),
                "squares": (c * c).sum(),
                "diagonal": np.trace(c),
            }

        return lambda: estimator.fit(states).fetch_model(), fingerprint

    def effective(self, f, p):
        return self.counts(f, p, "effective")

    def mle(self, f, p):
        from deeptime.markov.msm import MaximumLikelihoodMSM

        counts = np.load(f / "counts.npy")

        def run():
            model = MaximumLikelihoodMSM(reversible=True).fit(counts).fetch_model()
            return model, model.timescales(k=1)

        def fingerprint(result):
            model, slowest = result
            t = model.transition_matrix
            some = counts > 0
            return {
                "log_likelihood": float((counts[some] * np.log(t[some])).sum()),
                "slowest": slowest.tolist(),
                "largest_pi": float(model.stationary_distribution.max()),
                "states": len(t),
            }

        return run, fingerprint

    def timescales(self, f, p):
        from deeptime.markov import TransitionCountEstimator
        from deeptime.markov.msm import MaximumLikelihoodMSM

        states = list(np.load(f / "states.npy"))

        def run():
            out = []
            for lag in p["lags"]:
                c = TransitionCountEstimator(lag, "sliding", n_states=p["n_states"])
                c = c.fit(states).fetch_model().submodel_largest()
                out.append(MaximumLikelihoodMSM(reversible=True).fit(c).fetch_model().timescales(k=5))
            return out

        # The others may come from negative eigenvalues, which marsfm counts as no process.
        return run, lambda t: {"slowest": [at_lag[0] for at_lag in t]}

    def pcca(self, f, p):
        from deeptime.markov import pcca

        t = np.load(f / "t.npy")

        def fingerprint(model):
            # sum_ij A_ij^2 / A_0j of the membership map, as both sides maximise it.
            chi, w = model.memberships, stationary(t)
            s = (chi.T * w) @ chi / (chi.T @ w)[:, None]
            seen, sets = [], []
            for a in model.assignments.tolist():
                if a not in seen:
                    seen.append(a)
                sets.append(seen.index(a))
            return {"objective": float(np.trace(s)), "sets": sets if p["gapped"] else None}

        return lambda: pcca(t, p["m"]), fingerprint


class ScikitLearn:
    def kmeans(self, f, p):
        from sklearn.cluster import KMeans

        x, c = np.load(f / "x.npy"), np.load(f / "centers.npy")
        c = c.astype(x.dtype)

        def run():
            # copy_x=False: the fastest it can be; it gives the data back as they were.
            k = KMeans(len(c), init=c, n_init=1, max_iter=p["steps"], tol=0, copy_x=False)
            return k.fit(x)

        # Its inertia belongs to a later assignment; the centres are the same ones.
        return run, lambda m: {"centers": m.cluster_centers_.ravel().tolist()}

    def assign(self, f, p):
        from sklearn.cluster import KMeans

        x, c = np.load(f / "x.npy"), np.load(f / "centers.npy")
        c = c.astype(x.dtype)
        model = KMeans(len(c), init=c, n_init=1, max_iter=1).fit(x[:1000])
        model.cluster_centers_ = c
        return lambda: model.predict(x), lambda s: {"histogram": np.bincount(s, minlength=len(c)).tolist()}

    def plusplus(self, f, p):
        from sklearn.cluster import kmeans_plusplus

        x = np.load(f / "x.npy")
        state = {"seed": 0}

        def run():
            state["seed"] += 1
            return kmeans_plusplus(x, p["k"], random_state=state["seed"])[0]

        return run, lambda c: {"potential": median_potential(x, run, c)}


class Mdtraj:
    def trajectory(self, f, p):
        import mdtraj

        top = mdtraj.load(p["pdb"]).topology
        return mdtraj.Trajectory(np.load(f / "xyz.npy"), top)

    def rg(self, f, p):
        import mdtraj

        t = self.trajectory(f, p)
        return lambda: mdtraj.compute_rg(t), summary

    def rmsd(self, f, p):
        import mdtraj

        t = self.trajectory(f, p)
        return lambda: mdtraj.rmsd(t, t, 0), summary

    def dssp(self, f, p):
        import mdtraj

        t = self.trajectory(f, p)

        def fingerprint(letters):
            return {"letters": [int((letters == l).sum()) for l in "HBEGITS "]}

        return lambda: mdtraj.compute_dssp(t, simplified=False), fingerprint

    def torsions(self, f, p):
        t = self.trajectory(f, p)

        def fingerprint(a):
            return {
                "angles": a.shape[1],
                "mean_cos": float(np.cos(a, dtype=np.float64).mean()),
                "mean_sin": float(np.sin(a, dtype=np.float64).mean()),
            }

        return lambda: torsions(t), fingerprint

    def path(self, f, p):
        import mdtraj
        from deeptime.clustering import KMeans
        from deeptime.decomposition import TICA
        from deeptime.markov import TransitionCountEstimator, pcca
        from deeptime.markov.msm import MaximumLikelihoodMSM

        def run():
            features = []
            for file in p["xtc"] * p["repeat"]:
                a = torsions(mdtraj.load(file, top=p["pdb"]))
                features.append(np.concatenate([np.cos(a), np.sin(a)], axis=1))
            lag = p["lag"]
            tica = TICA(lagtime=lag, var_cutoff=0.95)
            for x in features:
                tica.partial_fit((x[:-lag], x[lag:]))
            tica = tica.fetch_model()
            projected = [tica.transform(x) for x in features]
            clusters = KMeans(100, max_iter=100, n_jobs=p["threads"]).fit(np.concatenate(projected))
            clusters = clusters.fetch_model()
            micro = [clusters.transform(x) for x in projected]
            counts = TransitionCountEstimator(lag, "sliding").fit(micro).fetch_model()
            counts = counts.submodel_largest()
            model = MaximumLikelihoodMSM(reversible=True).fit(counts).fetch_model()
            sets = pcca(model.transition_matrix, p["m"]).assignments
            of_micro = np.full(100, -1)
            of_micro[counts.state_symbols] = sets
            coarse = [of_micro[m] for m in micro]
            c = np.zeros((p["m"], p["m"]))
            for s in coarse:
                a, b = s[:-lag], s[lag:]
                ok = (a >= 0) & (b >= 0)
                np.add.at(c, (a[ok], b[ok]), 1)
            return tica, clusters, c, c / np.maximum(c.sum(axis=1, keepdims=True), 1)

        def fingerprint(result):
            tica, clusters, c, _ = result
            return {
                "kept": tica.output_dimension,
                "eigenvalues": tica.singular_values[:3].tolist(),
                "pairs": float(c.sum()),
                "inertia_2pc": float(clusters.inertia),
            }

        return run, fingerprint


def torsions(t):
    import mdtraj

    kinds = [mdtraj.compute_phi, mdtraj.compute_psi, mdtraj.compute_chi1, mdtraj.compute_chi2,
             mdtraj.compute_chi3, mdtraj.compute_chi4]
    return np.concatenate([k(t)[1] for k in kinds], axis=1)


def summary(values):
    return {"mean": float(values.mean(dtype=np.float64)), "largest": float(values.max())}


def stationary(t):
    values, vectors = np.linalg.eig(t.T)
    pi = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
    return pi / pi.sum()


def median_potential(x, run, first):
    from scipy.spatial.distance import cdist

    def potential(centers):
        parts = np.array_split(x, 50)
        return sum(cdist(a, centers, "sqeuclidean").min(axis=1).sum() for a in parts)

    return float(np.median([potential(first)] + [potential(run()) for _ in range(4)]))


def status(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(field)


def main():
    peer, case, folder, threads = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    parameters = json.loads((folder / "parameters.json").read_text())
    parameters["threads"] = threads
    side = {"deeptime": Deeptime, "scikit-learn": ScikitLearn, "mdtraj": Mdtraj}[peer]()
    run, fingerprint = getattr(side, case)(folder, parameters)

    def answer(value):
        print(json.dumps(value, default=float), flush=True)

    answer({"ready": True})
    for line in sys.stdin:
        words = line.split()
        if words[0] == "first":
            run()  # warm: imports and pools are no cost of the work
            with open("/proc/self/clear_refs", "w") as f:
                f.write("5")
            before = status("VmRSS:")
            wall, cpu = time.perf_counter(), time.process_time()
            result = run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            peak = status("VmHWM:") - before
            out = sizes(result)
            answer({
                "peak_extra_mb": max(peak - out, 0) / 1e6,
                "output_mb": out / 1e6,
                "wall_s": wall,
                "cpu_s": cpu,
                "fingerprint": fingerprint(result),
            })
        else:
            n = int(words[1])
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(n):
                run()
            answer({
                "wall_s": (time.perf_counter() - wall) / n,
                "cpu_s": (time.process_time() - cpu) / n,
            })


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
