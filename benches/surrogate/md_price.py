"""Processor seconds per ns of MD of a peptide with OpenMM's CPU platform on one thread: the price that
`marsfm break-even --md-cpu-seconds-per-ns` asks for. The least of three runs is printed, as JSON.

usage: md_price.py implicit|water PEPTIDE.pdb [--temperature 350]

implicit: what the committed MD is (ff14SB, OBC2, no cutoff, 4 fs with hydrogens of 3 Da); water: ff14SB
in a box of TIP3P-FB with 1 nm around the peptide, PME, 2 fs.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import openmm
from openmm import app, unit

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins/openmm/tools"))
from make_system import make_system


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["implicit", "water"])
    parser.add_argument("pdb")
    parser.add_argument("--temperature", type=float, default=350.0, help="K")
    asked = parser.parse_args()
    structure = app.PDBFile(asked.pdb)
    model = app.Modeller(structure.topology, structure.positions)
    water = asked.kind == "water"
    field = app.ForceField("amber14-all.xml", *(["amber14/tip3pfb.xml"] if water else []))
    model.addHydrogens(field)
    if water:
        model.addSolvent(field, model="tip3p", padding=1.0 * unit.nanometer)
        system = field.createSystem(model.topology, nonbondedMethod=app.PME,
                                    nonbondedCutoff=1.0 * unit.nanometer, constraints=app.HBonds)
        step_fs, steps = 2.0, 150
    else:
        system = make_system(model.topology, 3.0)
        step_fs, steps = 4.0, 4000
    integrator = openmm.LangevinMiddleIntegrator(asked.temperature, 1.0, 1e-3 * step_fs)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"),
                             {"Threads": "1"})
    context.setPositions(model.positions)
    openmm.LocalEnergyMinimizer.minimize(context, 10, 200)
    context.setVelocitiesToTemperature(asked.temperature, 1)

    def run():
        began = time.process_time()
        integrator.step(steps)
        context.getState(getEnergy=True)
        return time.process_time() - began

    run()
    seconds = min(run() for _ in range(3))
    print(json.dumps({"kind": asked.kind, "atoms": model.topology.getNumAtoms(),
                      "step_fs": step_fs, "cpu_s_per_ns": seconds / (1e-6 * step_fs * steps),
                      "openmm": openmm.Platform.getOpenMMVersion()}))


if __name__ == "__main__":
    main()
