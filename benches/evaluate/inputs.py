"""Inputs of the bench, made of the example MD: a tetrapeptide with 4 x 10,000 reference frames and
10,000 samples, and a chain of 250 residues with 1,000 frames on each side. Every frame is an MD frame
with 0.002 nm of noise, so that no two are equal; the long chain is chignolin 25 times over, joined by
ideal peptide bonds."""
import mdtraj as md
import numpy as np

NOISE = 0.002


def noisy(t, n, rng, ps=1.0):
    """n frames that go on from each other, whatever the length of t."""
    xyz = t.xyz[np.arange(n) % len(t)] + rng.normal(0, NOISE, (n, t.n_atoms, 3))
    return md.Trajectory(xyz.astype(np.float32), t.topology, time=ps * np.arange(n))


def tetrapeptide(data, out):
    rng = np.random.default_rng(1)
    top = str(data / "QLAQ/QLAQ.pdb")
    replicas = [md.load(str(data / f"QLAQ/r{k}.xtc"), top=top) for k in range(4)]
    for k, t in enumerate(replicas):
        noisy(t, 10_000, rng).save_xtc(str(out / f"r{k}.xtc"))
    noisy(md.join(replicas), 10_000, rng).save_xtc(str(out / "samples.xtc"))
    return top, [str(out / f"r{k}.xtc") for k in range(4)], str(out / "samples.xtc")


def place(a, b, c, length, angle, dihedral):
    """The atom that continues a, b, c (nm, degrees)."""
    angle, dihedral = np.radians(angle), np.radians(dihedral)
    u = (c - b) / np.linalg.norm(c - b)
    n = np.cross(b - a, u)
    n /= np.linalg.norm(n)
    d = [-np.cos(angle), np.sin(angle) * np.cos(dihedral), np.sin(angle) * np.sin(dihedral)]
    return c + length * (d[0] * u + d[1] * np.cross(n, u) + d[2] * n)


def frame_of(n, ca, c):
    """Axes of N, CA, C as columns."""
    x = (c - ca) / np.linalg.norm(c - ca)
    y = (n - ca) - np.dot(n - ca, x) * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def joined(t, copies):
    """A chain of copies of one chain, each moved to where its first residue continues the last."""
    top, chain = md.Topology(), None
    chain = top.add_chain()
    at, keep = {}, [a.index for a in t.topology.atoms if a.name != "OXT"]
    for a in t.topology.atoms:
        at[a.residue.index, a.name] = keep.index(a.index) if a.index in keep else None
    last = t.topology.n_residues - 1
    for k in range(copies):
        for r in t.topology.residues:
            new = top.add_residue(r.name, chain, resSeq=k * (last + 1) + r.index + 1)
            for a in r.atoms:
                if a.name != "OXT":
                    top.add_atom(a.name, a.element, new)
    frames = []
    for xyz in t.xyz[:, keep].astype(float):
        parts = [xyz]
        for _ in range(copies - 1):
            p = parts[-1]
            n0, ca0, c0 = (p[at[last, x]] for x in ("N", "CA", "C"))
            n = place(n0, ca0, c0, 0.133, 116.6, 140)
            ca = place(ca0, c0, n, 0.146, 121.7, 180)
            c = place(c0, n, ca, 0.152, 111, -65)
            old = frame_of(*(xyz[at[0, x]] for x in ("N", "CA", "C")))
            turn = frame_of(n, ca, c) @ old.T
            parts.append((xyz - xyz[at[0, "CA"]]) @ turn.T + ca)
        frames.append(np.concatenate(parts))
    return md.Trajectory(np.array(frames, dtype=np.float32), top, time=t.time)


def domain(data, out):
    rng = np.random.default_rng(2)
    t = md.load(str(data / "chignolin/r0.xtc"), top=str(data / "chignolin/chignolin.pdb"))
    long = joined(t, 25)
    long[0].save_pdb(str(out / "domain.pdb"))
    for k in range(2):
        noisy(long[k::2], 500, rng, ps=1000.0).save_xtc(str(out / f"d{k}.xtc"))
    noisy(long, 1000, rng).save_xtc(str(out / "drawn.xtc"))
    return str(out / "domain.pdb"), [str(out / f"d{k}.xtc") for k in range(2)], str(out / "drawn.xtc")
