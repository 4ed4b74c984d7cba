#!/usr/bin/env python3
"""Make what tests/openmm.rs compares with: the System of ACE-A-NME, positions, OpenMM's energies and forces.

    python make.py ../../../../examples/data/make OUT     (with openmm, numpy, PeptideBuilder, biopython)

Writes system.xml (ff14SB, OBC2, bonds to hydrogen constrained) and reference.json: positions of four strained
conformations (nm), energies (kJ/mol), forces (kJ/mol/nm); Reference platform, double precision.
"""
import json
import sys

import numpy as np
import openmm

sys.path.insert(0, sys.argv[1])
import make_md  # noqa: E402

topology, positions, _ = make_md.build("ACE-A-NME", -120.0, 130.0)
system = make_md.make_system(topology)
x0 = make_md.minimised(topology, system, positions)
context = openmm.Context(system, openmm.VerletIntegrator(0.001), make_md.reference())
rng = np.random.default_rng(1)
cases = []
for strain in (0.0, 0.002, 0.005, 0.01):
    context.setPositions(x0 + strain * rng.standard_normal(x0.shape))
    context.applyConstraints(1e-6)
    state = context.getState(positions=True, forces=True, energy=True)
    cases.append({
        "positions_nm": state.getPositions(asNumpy=True)._value.round(7).tolist(),
        "energy_kj_mol": state.getPotentialEnergy()._value,
        "forces_kj_mol_nm": state.getForces(asNumpy=True)._value.round(4).tolist(),
    })
for case in cases:  # what belongs to the rounded positions
    context.setPositions(np.array(case["positions_nm"]))
    state = context.getState(forces=True, energy=True)
    case["energy_kj_mol"] = round(state.getPotentialEnergy()._value, 6)
    case["forces_kj_mol_nm"] = state.getForces(asNumpy=True)._value.round(4).tolist()
with open(f"{sys.argv[2]}/system.xml", "w") as f:
    f.write(openmm.XmlSerializer.serialize(system))
with open(f"{sys.argv[2]}/reference.json", "w") as f:
    json.dump({"engine": f"OpenMM {openmm.Platform.getOpenMMVersion()}, Reference platform", "cases": cases}, f)
    f.write("\n")
