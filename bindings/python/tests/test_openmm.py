"""Jumps inside real OpenMM Contexts. The peptide comes from examples/data."""

import os
import unittest
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

import marsfm
from marsfm import openmm as mo

PDB = Path(__file__).resolve().parents[3] / "examples/data/QLAQ/QLAQ_full.pdb"


def simulation(platform="CPU"):
    pdb = app.PDBFile(str(PDB))
    field = app.ForceField("amber14-all.xml", "implicit/obc2.xml")
    system = field.createSystem(pdb.topology, constraints=app.HBonds)
    integrator = openmm.LangevinMiddleIntegrator(350, 1, 0.002)
    made = app.Simulation(pdb.topology, system, integrator,
                          openmm.Platform.getPlatformByName(platform))
    made.context.setPositions(pdb.positions)
    made.minimizeEnergy(maxIterations=100)
    return made


def positions(s):
    state = s.context.getState(getPositions=True)
    return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)


class Jumps(unittest.TestCase):
    def test_seeds_leave_the_context_alone(self):
        s = simulation()
        before = np.array(positions(s))
        seeds = mo.seed(s, n=12, rng_seed=3)
        self.assertTrue(seeds)
        np.testing.assert_array_equal(before, positions(s))
        for seed in seeds:
            self.assertIn(seed.verdict.status, ("valid", "repaired"))
            self.assertLessEqual(seed.verdict.max_torsion_degrees, 30.0)

    def test_a_jump_moves_the_context_and_md_goes_on(self):
        for platform in ("CPU", "Reference"):
            s = simulation(platform)
            before = np.array(positions(s))
            done = mo.jump(s, n=16, rng_seed=3)
            self.assertIsNotNone(done.seed)
            self.assertGreater(np.abs(positions(s) - before).max(), 0.05)
            np.testing.assert_allclose(positions(s), done.seed.positions_nm, atol=1e-4)
            s.step(50)
            self.assertTrue(np.isfinite(positions(s)).all())

    def test_the_reporter_counts_steps(self):
        s = simulation()
        reporter = mo.JumpReporter(s, 20, n=4)
        s.reporters.append(reporter)
        s.step(45)
        self.assertEqual([j.step for j in reporter.jumps], [20, 40])
        self.assertEqual(s.currentStep, 45)

    def test_water_is_refused(self):
        top = app.Topology()
        residue = top.addResidue("HOH", top.addChain())
        top.addAtom("O", app.element.oxygen, residue)
        with self.assertRaisesRegex(ValueError, "1 water"):
            mo._topology(top)

    def test_positions_that_are_not_finite_are_an_error(self):
        topology = marsfm.Topology.from_file(PDB)
        session = marsfm.Session(marsfm.Model(), topology)
        bad = np.full((topology.n_atoms, 3), np.nan)
        with self.assertRaises(marsfm.MarsfmError) as caught:
            session.jump(bad, 1, 1)
        self.assertEqual(caught.exception.status, "MARSFM_ERROR_NOT_FINITE")
        with self.assertRaises(marsfm.MarsfmError) as caught:
            session.jump(bad[:3], 1, 1)
        self.assertEqual(caught.exception.status, "MARSFM_ERROR_COUNT")


if __name__ == "__main__":
    unittest.main()
