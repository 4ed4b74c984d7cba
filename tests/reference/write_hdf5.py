"""Writes real MD as HDF5 in the layouts of mdCATH (with h5py) and MDTraj (with its own writer).

    python write_hdf5.py mdcath DOMAIN TOPOLOGY.pdb OUT.h5 TEMPERATURE/REPLICA=TRAJ.xtc …
    python write_hdf5.py mdtraj TOPOLOGY.pdb OUT.h5 TRAJ.xtc

mdCATH's attributes, datasets, types and units are those of its generator: coords in angstrom, box in
nm, CHARMM atom and residue names, stored quantities as MDTraj computes them from the same frames.
The MD here has no hydrogens; amide hydrogens are put in so that the files hold some.
"""
import sys

import h5py
import mdtraj as md
import numpy as np


def with_amide_hydrogens(t):
    """Frames and topology with an H on every N that has a C before it (not on proline)."""
    top, columns, source = md.Topology(), [], []
    chain = top.add_chain()
    previous = None
    for r in t.topology.residues:
        new = top.add_residue(r.name, chain, resSeq=r.resSeq)
        at = {a.name: a.index for a in r.atoms}
        for a in r.atoms:
            top.add_atom(a.name, a.element, new)
            columns.append(t.xyz[:, a.index])
            if a.name == "N" and previous is not None and r.name != "PRO":
                top.add_atom("H", md.element.hydrogen, new)
                n, middle = t.xyz[:, a.index], (t.xyz[:, at["CA"]] + t.xyz[:, previous]) / 2
                away = n - middle
                columns.append(n + 0.1 * away / np.linalg.norm(away, axis=1, keepdims=True))
        previous = at["C"]
    xyz = np.stack(columns, axis=1)
    return md.Trajectory(xyz, top, time=t.time)


def charmm(residue, atom, last):
    """(residue, atom) as CHARMM names them."""
    r = {"HIS": "HSD"}.get(residue, residue)
    a = {("ILE", "CD1"): "CD", ("*", "H"): "HN"}.get((residue, atom), atom)
    a = "HN" if a == "H" else a
    if last:
        a = {"O": "OT1", "OXT": "OT2"}.get(a, a)
    return r, a


def pdb_text(top, xyz_angstrom, names):
    lines = []
    for a, x, (r, n) in zip(top.atoms, xyz_angstrom, names):
        shown = n if len(n) == 4 else " " + n
        lines.append(
            f"ATOM  {a.index + 1:5d} {shown:<4s} {r:<4s}A{a.residue.resSeq:4d}    "
            f"{x[0]:8.3f}{x[1]:8.3f}{x[2]:8.3f}  1.00  0.00           {a.element.symbol}"
        )
    return "\n".join(lines + ["END", ""])


def mdcath(domain, pdb, out, *trajectories):
    with h5py.File(out, "w") as f:
        f.attrs["layout"] = "mdcath-only-protein-v1.0"
        g = f.create_group(domain)
        structure = with_amide_hydrogens(md.load(pdb))
        top = structure.topology
        last = top.n_residues - 1
        names = [charmm(a.residue.name, a.name, a.residue.index == last) for a in top.atoms]
        g.attrs["numChains"], g.attrs["numProteinAtoms"], g.attrs["numResidues"] = 1, top.n_atoms, top.n_residues
        text = lambda values: np.array(values, dtype=h5py.string_dtype())
        g["chain"] = text(["A"] * top.n_atoms)
        g["element"] = text([a.element.symbol for a in top.atoms])
        g["resid"] = np.array([a.residue.resSeq for a in top.atoms])
        g["resname"] = text([r for r, _ in names])
        g["z"] = np.array([a.element.number for a in top.atoms])
        whole = pdb_text(top, 10 * structure.xyz[0], names)
        g["pdb"] = g["pdbProteinAtoms"] = whole
        g["psf"] = "PSF\n"
        for item in trajectories:
            where, xtc = item.split("=")
            t = with_amide_hydrogens(md.load(xtc, top=pdb))
            heavy = [a.index for a in top.atoms if a.element.symbol != "H"]
            ca = top.select("name CA")
            h = g.create_group(where)
            h.attrs["numFrames"] = len(t)
            h["coords"] = (10 * t.xyz).astype(np.float32)
            h["forces"] = np.zeros_like(t.xyz, dtype=np.float32)
            h["box"] = np.diag([9.0, 9.0, 9.0]).astype(np.float32)
            h["dssp"] = text([[c if c != " " else " " for c in row] for row in md.compute_dssp(t, simplified=False)])
            h["gyrationRadius"] = md.compute_rg(t.atom_slice(heavy))
            h["rmsd"] = md.rmsd(t, t, 0, atom_indices=heavy)
            h["rmsf"] = md.rmsf(t, t, 0, atom_indices=ca)


def mdtraj(pdb, out, xtc):
    t = md.load(xtc, top=pdb)
    t.unitcell_lengths = np.full((len(t), 3), [5.0, 6.0, 7.0], dtype=np.float32)
    t.unitcell_angles = np.full((len(t), 3), [90.0, 80.0, 100.0], dtype=np.float32)
    t.save_hdf5(out)


{"mdcath": mdcath, "mdtraj": mdtraj}[sys.argv[1]](*sys.argv[2:])
