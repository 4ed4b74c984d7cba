"""Eight jumps of a peptide, and a Markov model that says where they lead.

    pip install ./bindings/python            # libmarsfm and the default surrogate come with it
    python examples/python/hello_jump.py [PEPTIDE.pdb [MODEL.safetensors]]

In a checkout without installing: PYTHONPATH=bindings/python MARSFM_LIBRARY=target/release/libmarsfm.so.
"""

import sys
from pathlib import Path

import numpy as np

import marsfm

DATA = Path(__file__).resolve().parents[1] / "data/QLAQ"


def read_pdb(path):
    """Atoms and positions (nm) of a PDB file, as an MD engine would know them."""
    atoms, xyz = [], []
    for line in Path(path).read_text().splitlines():
        if line.startswith("ENDMDL"):
            break
        if line.startswith(("ATOM", "HETATM")):
            atoms.append(marsfm.Atom(line[12:16].strip(), line[17:20].strip(), int(line[22:26]),
                                     chain=line[21].strip()))
            xyz.append([float(line[30 + 8 * k:38 + 8 * k]) / 10 for k in range(3)])
    return atoms, np.array(xyz)


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else DATA / "QLAQ_full.pdb"
    atoms, xyz = read_pdb(path)
    topology = marsfm.Topology(atoms)
    model = marsfm.Model(sys.argv[2] if len(sys.argv) > 2 else None)
    print(f"{topology.sequence}: {topology.n_atoms} atoms; one jump is {model.lag_ps:g} ps "
          f"at {model.temperature_kelvin:g} K")

    session = marsfm.Session(model, topology, temperature_kelvin=350.0)
    # On a thread of the library: MD could go on meanwhile.
    job = session.submit(xyz, n=8, rng_seed=42)
    batch = job.wait()
    print("outside of the training:", batch.domain_message() or "nothing known")

    usable = 0
    ends = [i for i, a in enumerate(atoms) if a.name == "CA"]
    for i in range(len(batch)):
        sample = batch.sample(i)
        usable += sample.status != "rejected"
        if "not finite" in sample.reasons:
            print(f"sample {i}: rejected, not finite")
            continue
        there = batch.positions_nm(i)
        print(f"sample {i}: {sample.status:12}  end to end "
              f"{np.linalg.norm(there[ends[0]] - there[ends[-1]]):.3f} nm, "
              f"closed by {sample.idealised_nm:.4f} nm")
    print(f"{usable} of {len(batch)} jumps can start MD")


if __name__ == "__main__":
    main()
