#!/usr/bin/env python3
"""Write a template folder for the OpenMM engine: amber14 (ff14SB) with OBC2 implicit solvent.

    pip install openmm numpy
    python make_system.py peptide.pdb template/ [--temperature 350] [--step-fs 4] [--platform CPU]

PDB is one protein chain. Hydrogens that it has are kept, missing ones are added at pH 7; nothing else is changed: complete
the heavy atoms first (pdbfixer does). TEMPLATE receives system.xml, topology.pdb and settings.json.

OpenMM's own GBSAOBCForce is used, which is several times faster than the custom force of implicit/gbn2.xml. No cutoff.
Bonds to hydrogen are constrained; with steps above 2 fs hydrogens weigh 3 Da.
"""
import argparse
import json
import os
import random
import sys

import openmm
from openmm import app, unit
from openmm.app.internal.customgbforces import GBSAOBC2Force


def make_system(topology, hydrogen_mass):
    """amber14 without cutoff plus GBSAOBCForce with OBC2 radii."""
    options = dict(nonbondedMethod=app.NoCutoff, constraints=app.HBonds)
    if hydrogen_mass:
        options["hydrogenMass"] = hydrogen_mass * unit.amu
    system = app.ForceField("amber14-all.xml").createSystem(topology, **options)
    nonbonded = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    nonbonded.setReactionFieldDielectric(1.0)
    gb = openmm.GBSAOBCForce()
    for i, parameters in enumerate(GBSAOBC2Force.getStandardParameters(topology)):
        gb.addParticle(nonbonded.getParticleParameters(i)[0], float(parameters[0]), float(parameters[1]))
    system.addForce(gb)
    return system


def minimised(topology, system, positions):
    """A relaxed start, so that the template's own positions can be run from."""
    integrator = openmm.LangevinMiddleIntegrator(300, 1, 0.001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, 10, 500)
    return context.getState(getPositions=True).getPositions()


def write(path, text):
    with open(path + ".partial", "w") as f:
        f.write(text)
    os.replace(path + ".partial", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pdb")
    parser.add_argument("template")
    parser.add_argument("--temperature", type=float, default=300.0, help="K")
    parser.add_argument("--friction", type=float, default=1.0, help="1/ps")
    parser.add_argument("--step-fs", type=float, default=2.0)
    parser.add_argument("--platform", help="Reference (fastest below some 100 atoms on a CPU), CPU, CUDA, ...")
    a = parser.parse_args()
    pdb = app.PDBFile(a.pdb)
    modeller = app.Modeller(pdb.topology, pdb.positions)
    random.seed(1)  # addHydrogens starts hydrogens in random directions
    reference = openmm.Platform.getPlatformByName("Reference")
    try:
        if not any(x.element is app.element.hydrogen for x in modeller.topology.atoms()):
            modeller.addHydrogens(app.ForceField("amber14-all.xml"), pH=7.0, platform=reference)
        system = make_system(modeller.topology, 3.0 if a.step_fs > 2.0 else 0.0)
    except ValueError as e:
        sys.exit(f"{a.pdb}: {e}")
    positions = minimised(modeller.topology, system, modeller.positions)
    os.makedirs(a.template, exist_ok=True)
    write(f"{a.template}/system.xml", openmm.XmlSerializer.serialize(system))
    with open(f"{a.template}/topology.pdb.partial", "w") as f:
        app.PDBFile.writeFile(modeller.topology, positions, f, keepIds=True)
    os.replace(f"{a.template}/topology.pdb.partial", f"{a.template}/topology.pdb")
    settings = dict(temperature_kelvin=a.temperature, friction_per_ps=a.friction, step_ps=a.step_fs / 1000)
    if a.platform:
        settings["platform"] = a.platform
    write(f"{a.template}/settings.json", json.dumps(settings, indent=1) + "\n")
    print(f"{a.template}: {system.getNumParticles()} atoms, OpenMM {openmm.Platform.getOpenMMVersion()}")


if __name__ == "__main__":
    main()
