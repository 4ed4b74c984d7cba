"""The jump force in real Contexts: openmm_force.py LIBRARY PEPTIDE.pdb."""

import sys

import numpy as np
import openmm
from openmm import app, unit

from marsfm import force


def parts():
    pdb = app.PDBFile(sys.argv[2])
    field = app.ForceField("amber14-all.xml", "implicit/obc2.xml")
    system = field.createSystem(pdb.topology, constraints=app.HBonds)
    return pdb, system


def context(system, pdb, platform):
    integrator = openmm.LangevinMiddleIntegrator(350, 1, 0.002)
    integrator.setRandomNumberSeed(7)
    made = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    made.setPositions(pdb.positions)
    openmm.LocalEnergyMinimizer.minimize(made, 10, 100)
    made.setVelocitiesToTemperature(350, 7)
    return made, integrator


def positions(made):
    state = made.getState(getPositions=True)
    return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)


force.load(sys.argv[1])
pdb, system = parts()
for bad in (dict(interval_steps=0), dict(interval_steps=5, temperature_kelvin=-1.0)):
    try:
        force.attach(system, pdb.topology, **{"temperature_kelvin": 350.0, **bad})
        raise SystemExit(f"accepted {bad}")
    except ValueError as e:
        print("refused:", e)
try:
    force.attach(openmm.System(), pdb.topology, 10, 350.0)
    raise SystemExit("accepted an empty System")
except ValueError as e:
    assert "0 particles" in str(e), e

force.attach(system, pdb.topology, interval_steps=20, temperature_kelvin=350.0, draws=8, rng_seed=3)
xml = openmm.XmlSerializer.serialize(system)
assert "MarsfmJumpForce" in xml
again = openmm.XmlSerializer.deserialize(xml)
assert openmm.XmlSerializer.serialize(again) == xml, "the XML changes on its way back"

for platform, of in (("Reference", system), ("CPU", again)):
    made, integrator = context(of, pdb, platform)
    integrator.step(20)
    before = np.array(positions(made))
    integrator.step(1)  # the jump is due at the beginning of this step
    said = force.report(of)
    assert said.due == 1 and said.jumped == 1, (platform, said.due, said.jumped, said.refused)
    moved = np.abs(positions(made) - before).max()
    assert moved > 0.05, (platform, moved)
    integrator.step(29)
    assert force.report(of).due == 2, platform
    energy = made.getState(getEnergy=True).getPotentialEnergy()._value
    assert np.isfinite(positions(made)).all() and energy < 0.0, (platform, energy)
    print(f"{platform}: moved {moved:.2f} nm, refused {said.refused}, now {energy:.0f} kJ/mol")

# Positions that are not finite are an exception of step(), and the process lives.
made, integrator = context(system, pdb, "Reference")
integrator.step(20)
bad = np.array(positions(made))
bad[4, 1] = np.nan
made.setPositions(bad)
try:
    integrator.step(1)
    raise SystemExit("a jump from NaN")
except openmm.OpenMMException as e:
    print("refused:", e)

# A System of other particles than the force was told of.
system.addParticle(1.0)
try:
    openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    raise SystemExit("a Context with another number of particles")
except openmm.OpenMMException as e:
    print("refused:", e)
print("openmm_force: ok")
