"""The adaptive loop from Python, on the toy engine with exact answers."""

import tempfile
import unittest
from pathlib import Path

import marsfm
from marsfm.loop import Loop, report

SETTINGS = Path(__file__).parents[3] / "examples/loop/toy.toml"


class TheLoop(unittest.TestCase):
    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)

    def test_it_stops_goes_on_and_reports(self):
        loop = Loop.begin(SETTINGS, self.folder / "loop")
        self.assertEqual(loop.status()["last"], None)
        self.assertEqual(loop.run(max_epochs=2), "limits")
        self.assertEqual(loop.status()["epochs"], 2)
        self.assertEqual(loop.run(progress=lambda stage, epoch, epochs, done: epoch < 4),
                         "stopped")

        def fails(*_):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            loop.run(progress=fails)
        seen = []
        again = Loop(self.folder / "loop")
        self.assertEqual(again.run(progress=lambda *told: seen.append(told)), "complete")
        self.assertEqual({told[2] for told in seen}, {10})
        self.assertTrue(all(0.0 <= told[3] <= 1.0 for told in seen))
        status = again.status()
        self.assertEqual((status["epochs"], status["runs"]), (10, 40))
        self.assertAlmostEqual(status["md_ns"], 40 * 0.212, places=3)
        statistics = status["last"]["statistics"]["Ok"]
        known = [p["value"] for p in statistics["populations"] if p]
        self.assertAlmostEqual(sum(known), 1.0, places=9)
        page = report([again], self.folder / "report")
        self.assertIn("States found", page.read_text())

    def test_what_is_wrong_is_said(self):
        for make in (lambda: Loop(self.folder / "none"),
                     lambda: Loop.begin(self.folder / "none.toml", self.folder / "x")):
            with self.assertRaises(marsfm.MarsfmError) as caught:
                make()
            self.assertEqual(caught.exception.status, "MARSFM_ERROR_LOOP")
            self.assertIn("none", str(caught.exception))
        loop = Loop.begin(SETTINGS, self.folder / "loop")
        with self.assertRaises(marsfm.MarsfmError):
            loop.take([])


if __name__ == "__main__":
    unittest.main()
