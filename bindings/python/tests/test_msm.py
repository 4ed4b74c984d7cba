"""Trees, jobs and Markov models, on the example's MD."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

import marsfm

DATA = Path(__file__).resolve().parents[3] / "examples/data/QLAQ"


def first_positions(path):
    rows = [line for line in path.read_text().splitlines() if line.startswith("ATOM")]
    return np.array([[float(r[30 + 8 * k:38 + 8 * k]) / 10 for k in range(3)] for r in rows])


class Models(unittest.TestCase):
    def setUp(self):
        self.topology = marsfm.Topology.from_file(DATA / "QLAQ.pdb")
        self.xyz = first_positions(DATA / "QLAQ.pdb")

    def test_a_model_is_built_saved_loaded_and_updated(self):
        runs = [marsfm.Trajectory.read(self.topology, DATA / f"r{r}.xtc") for r in range(2)]
        self.assertEqual([len(r) for r in runs], [1500, 1500])
        msm = marsfm.Msm(runs, n_microstates=40, n_macrostates=4)
        self.assertEqual((msm.n_frames, msm.n_microstates), (3000, 40))
        matrix = msm.transition_matrix()
        self.assertEqual(matrix.shape, (msm.n_macrostates, msm.n_macrostates))
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-9)
        np.testing.assert_allclose(msm.stationary() @ matrix, msm.stationary(), atol=0.05)
        self.assertEqual(msm.populations().sum(), 3000)
        self.assertTrue((np.diff(msm.timescales_ps()) <= 0).all())
        micro, macro = msm.assign(self.xyz)
        self.assertIn(micro, range(40))

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.safetensors"
            msm.save(path)
            self.assertEqual(marsfm.Msm.load(path, self.topology, self.xyz).assign(self.xyz),
                             (micro, macro))
        mine = marsfm.Trajectory(self.topology, frame_ps=1.0, discard_ps=10.0, name="mine")
        for _ in range(60):
            mine.append(self.xyz)
        self.assertEqual((mine.n_seen, len(mine)), (60, 50))
        updated, drift = msm.update([mine])
        self.assertEqual((drift.frames_before, drift.frames_added), (3000, 50))
        self.assertEqual(updated.populations()[micro], msm.populations()[micro] + 50)
        with self.assertRaises(marsfm.MarsfmError) as caught:
            mine.append(self.xyz[:-1])
        self.assertEqual(caught.exception.status, "MARSFM_ERROR_COUNT")

    def test_features_are_chosen(self):
        runs = [marsfm.Trajectory.read(self.topology, DATA / "r0.xtc")]
        build = lambda **more: marsfm.Msm(runs, n_microstates=20, n_macrostates=2, **more)
        widths = [build(features=f).n_features
                  for f in ("torsions", "backbone", "rg-ss", ["backbone", "rg-ss"])]
        self.assertEqual(build().n_features, widths[0])
        self.assertEqual((widths[2], widths[3]), (3, widths[1] + 3))
        self.assertLess(widths[1], widths[0])
        with tempfile.TemporaryDirectory() as folder:
            msm, path = build(features="ca-distances"), Path(folder) / "m.safetensors"
            msm.save(path)
            again = marsfm.Msm.load(path, self.topology, self.xyz)
            self.assertEqual((again.n_features, again.assign(self.xyz)),
                             (msm.n_features, msm.assign(self.xyz)))
            updated, _ = msm.update(runs)
            self.assertEqual((updated.n_frames, updated.n_features), (3000, msm.n_features))
        for wrong, status, word in ((dict(features="torsoins"), "ARGUMENT", "torsoins"),
                                    (dict(feature_plugin="nowhere"), "MSM", "nowhere")):
            with self.assertRaises(marsfm.MarsfmError) as caught:
                build(**wrong)
            self.assertEqual(caught.exception.status, f"MARSFM_ERROR_{status}")
            self.assertIn(word, str(caught.exception))

    def test_a_model_is_built_of_a_callers_own_numbers(self):
        rng = np.random.default_rng(3)
        runs = [np.stack([np.where(np.cumsum(rng.random(3000) < 0.02) % 2, 1.0, -1.0)
                          + 0.1 * rng.standard_normal(3000), rng.standard_normal(3000)], axis=1)
                for _ in range(2)]
        msm = marsfm.Msm.from_rows(runs, frame_ps=1.0, n_microstates=20, n_macrostates=2)
        self.assertEqual((msm.n_frames, msm.n_macrostates), (6000, 2))
        micro, macro = msm.assign_rows(runs[0])
        self.assertEqual(micro.shape, (3000,))
        self.assertGreater(np.mean((macro == macro[0]) == (runs[0][:, 0] * runs[0][0, 0] > 0)), 0.98)
        for wrong in (lambda: marsfm.Msm.from_rows([runs[0], runs[1][:, :1]], frame_ps=1.0),
                      lambda: msm.assign_rows(runs[0][:, 0])):
            self.assertRaises(ValueError, wrong)
        with self.assertRaises(marsfm.MarsfmError) as caught:
            msm.assign_rows(runs[0][:, :1])
        self.assertEqual(caught.exception.status, "MARSFM_ERROR_MSM")

    def test_trees_and_jobs(self):
        session = marsfm.Session(marsfm.Model(), self.topology, 350.0)
        shape = marsfm.Tree(roots=3, branching=2, depth=2, budget=9)
        tree = session.tree(self.xyz, shape, rng_seed=5)
        depths = [tree.sample(i).depth for i in range(len(tree))]
        self.assertEqual(depths[:3], [1, 1, 1])
        self.assertTrue(all(tree.sample(i).parent in range(3)
                            for i in range(len(tree)) if depths[i] == 2))
        again = session.submit_tree(self.xyz, shape, rng_seed=5).wait()
        self.assertEqual(len(again), len(tree))
        np.testing.assert_array_equal(again.positions_nm(0), tree.positions_nm(0))
        job = session.submit(self.xyz, n=400, rng_seed=1)
        done, budget = job.progress()
        self.assertEqual(budget, 400)
        job.cancel()
        with self.assertRaises(marsfm.MarsfmError) as caught:
            job.wait()
        self.assertEqual(caught.exception.status, "MARSFM_ERROR_STOPPED")

    def test_samples_are_closed_unless_asked_for_as_drawn(self):
        model = marsfm.Model()
        closed = marsfm.Session(model, self.topology).jump(self.xyz, 8, 42)
        drawn = marsfm.Session(model, self.topology, as_drawn=True).jump(self.xyz, 8, 42)
        moved = [closed.sample(i).idealised_nm for i in range(8)]
        self.assertTrue(any(0.001 < m < 0.1 for m in moved), moved)
        self.assertTrue(all(drawn.sample(i).idealised_nm == 0.0 for i in range(8)))
        needy = [sum(b.sample(i).status == "needs repair" for i in range(8))
                 for b in (closed, drawn)]
        self.assertLessEqual(needy[0], needy[1])


if __name__ == "__main__":
    unittest.main()
