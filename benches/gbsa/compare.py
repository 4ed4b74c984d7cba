#!/usr/bin/env python3
"""CPU-seconds per ns of QLAQ (examples/loop/QLAQ): gbsa with one and with sixteen replicas, OpenMM with one thread.

In one run, each the least of three turns taken in turn, since machines change their pace from minute to minute.
"""
import argparse
import json
import os
import resource
import subprocess
import tempfile
from pathlib import Path

import openmm
from openmm import app, unit

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "examples/loop/QLAQ"
STEP_PS, KELVIN, FRICTION = 0.004, 350.0, 0.3


def own_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def gbsa(release, replicas, ps, positions, folder):
    job = {
        "system": str(TEMPLATE / "system.xml"), "starts": [positions], "atoms": list(range(len(positions))),
        "replicas": [{"start": 0, "seed": k, "xtc": f"{folder}/r{k}.xtc"} for k in range(replicas)],
        "temperature_kelvin": KELVIN, "friction_per_ps": FRICTION, "step_ps": STEP_PS, "drop_steps": 0,
        "frame_steps": 250, "frames": ps}
    path = Path(folder) / "job.json"
    path.write_text(json.dumps(job))
    before = os.times()
    subprocess.run([f"{release}/marsfm-gbsa", str(path)], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent / (replicas * ps / 1000)


def of_openmm(simulation, ps):
    before = own_seconds()
    simulation.step(round(ps / STEP_PS))
    simulation.context.getState(energy=True)
    return (own_seconds() - before) / (ps / 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", required=True, help="folder with marsfm-gbsa")
    parser.add_argument("--ps", type=int, default=20, help="of MD in each turn")
    a = parser.parse_args()
    pdb = app.PDBFile(str(TEMPLATE / "topology.pdb"))
    system = openmm.XmlSerializer.deserialize((TEMPLATE / "system.xml").read_text())
    x = pdb.positions.value_in_unit(unit.nanometer)
    positions = [[float(v) for v in p] for p in x]
    sides = {}
    for name, properties in (("Reference", {}), ("CPU", {"Threads": "1"})):
        integrator = openmm.LangevinMiddleIntegrator(KELVIN, FRICTION, STEP_PS)
        platform = openmm.Platform.getPlatformByName(name)
        simulation = app.Simulation(pdb.topology, system, integrator, platform, properties)
        simulation.context.setPositions(pdb.positions)
        simulation.context.setVelocitiesToTemperature(KELVIN, 1)
        simulation.step(100)
        sides[f"OpenMM {name}"] = lambda s=simulation: of_openmm(s, a.ps)
    with tempfile.TemporaryDirectory() as folder:
        for n in (1, 16):
            sides[f"gbsa, {n} at once"] = lambda n=n: gbsa(a.release, n, a.ps, positions, folder)
        turns = [{name: run() for name, run in sides.items()} for _ in range(3)]
    best = {name: min(turn[name] for turn in turns) for name in sides}
    peer = min(v for k, v in best.items() if k.startswith("OpenMM"))
    print(f"OpenMM {openmm.Platform.getOpenMMVersion()}, {len(positions)} atoms, {a.ps} ps in each of three turns\n")
    print("| engine | CPU-s per ns | times OpenMM's faster platform |\n|---|---|---|")
    for name, seconds in best.items():
        print(f"| {name} | {seconds:.2f} | {peer / seconds:.1f} |")


if __name__ == "__main__":
    main()
