"""Checkpoints of the reference's form: read without running them, written so that they read back."""

import argparse
import contextlib
import io
import os
import pathlib
import pickle
import sys
import tempfile
import types
import unittest
import zipfile
from collections import OrderedDict

import numpy as np

import marsfm
from marsfm import convert, torchfile

OPTIONS = dict(embed_dim=32, num_layers=2, mha_heads=4, ipa_heads=2, ipa_head_dim=8, ipa_qk=3,
               ipa_v=4, num_frames=6, crop=4, abs_pos_emb=True, path_type="GVP", lr=1e-4,
               sim_condition=True, prepend_ipa=True, prediction="velocity", time_multiplier=100.0,
               dropout=0.0, ema=True, hyena=False, cond_interval=None, data_dir="data/4AA")


def parameters(o, seed):
    """Parameters of the reference network by name (METHOD 3.7), random."""
    c, shapes = o["embed_dim"], {}

    def linear(name, n_out, n_in):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (n_out, n_in), (n_out,)

    def attention(name):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{name}.attn.{part}", c, c)
        shapes[f"{name}.attn.bias_k"] = shapes[f"{name}.attn.bias_v"] = (1, 1, c)

    h, ch, q, v = o["ipa_heads"], o["ipa_head_dim"], o["ipa_qk"], o["ipa_v"]
    linear("latent_to_emb", c, 21)
    linear("cond_to_emb", c, 21)
    shapes["mask_to_emb.weight"], shapes["aatype_to_emb.weight"] = (2, c), (21, c)
    linear("t_embedder.mlp.0", c, 256)
    linear("t_embedder.mlp.2", c, c)
    linear("emb_to_latent.adaLN_modulation.1", 2 * c, c)
    linear("emb_to_latent.linear", 21, c)
    for i in range(o["num_layers"]):
        at = f"ipa_layers.{i}"
        linear(f"{at}.adaLN_modulation.1", 6 * c, c)
        shapes[f"{at}.ipa_norm.weight"] = shapes[f"{at}.ipa_norm.bias"] = (c,)
        shapes[f"{at}.ipa.head_weights"] = (h,)
        for part, n_out in [("linear_q", h * ch), ("linear_kv", 2 * h * ch),
                            ("linear_q_points", 3 * h * q), ("linear_kv_points", 3 * h * (q + v))]:
            linear(f"{at}.ipa.{part}", n_out, c)
        linear(f"{at}.ipa.linear_out", c, h * (ch + 4 * v))
        attention(f"{at}.mha_l")
        linear(f"layers.{i}.adaLN_modulation.1", 9 * c, c)
        attention(f"layers.{i}.mha_l")
        attention(f"layers.{i}.mha_t")
        for stack in (at, f"layers.{i}"):
            linear(f"{stack}.fc1", 4 * c, c)
            linear(f"{stack}.fc2", c, 4 * c)
    rng = np.random.default_rng(seed)
    return {n: rng.standard_normal(s).astype("<f4") for n, s in shapes.items()}


class Evil:
    """Would leave a file behind if its pickle were run."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def torch_save(path, value):
    """Writes what ``torch.save`` writes, by Python's own pickler, with stand-ins for torch."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    storage = type("FloatStorage", (), {"__module__": "torch"})

    def _rebuild_tensor_v2(*_arguments):
        raise AssertionError("only its name is written")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    torch.FloatStorage, torch._utils, utils._rebuild_tensor_v2 = storage, utils, _rebuild_tensor_v2
    raw = []

    class Data:
        def __init__(self, array):
            self.array = array

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Data):
                raw.append(value.array.tobytes())
                return ("storage", storage, str(len(raw) - 1), "cpu", value.array.size)
            return None

        def reducer_override(self, value):
            if isinstance(value, np.ndarray):
                stride = tuple(s // value.itemsize for s in value.strides)
                return _rebuild_tensor_v2, (Data(value), 0, value.shape, stride, False,
                                            OrderedDict())
            return NotImplemented

    before = {n: sys.modules.get(n) for n in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        text = io.BytesIO()
        Pickler(text, protocol=2).dump(value)
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.__setitem__(name, module)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("forward_sim/data.pkl", text.getvalue())
        for key, data in enumerate(raw):
            archive.writestr(f"forward_sim/data/{key}", data)
        archive.writestr("forward_sim/version", "3\n")


def lightning(folder, options=OPTIONS, average=True, **more):
    last, mean = parameters(OPTIONS, 1), parameters(OPTIONS, 2)
    named = {**last, "pos_embed": np.zeros((1, 4, 32), "<f4"),
             "layers.0.mha_t.attn.rot_emb.inv_freq": np.ones(4, "<f4")}
    stored = {"epoch": 9, "global_step": 1234, "pytorch-lightning_version": "2.0.4",
              "state_dict": OrderedDict((f"model.{n}", v) for n, v in named.items()),
              "loops": {"fit_loop": {"state_dict": {}}}, "lr_schedulers": [],
              "callbacks": {"ModelCheckpoint": {"dirpath": pathlib.PurePosixPath("workdir/x")}},
              "optimizer_states": [{"state": {0: {"exp_avg": last["latent_to_emb.bias"]}}}],
              "hyper_parameters": {"args": argparse.Namespace(**options)}, **more}
    if average:
        stored["ema"] = OrderedDict(params=OrderedDict(mean), decay=0.999)
    path = os.path.join(folder, "forward_sim.ckpt")
    torch_save(path, stored)
    return path, last, mean


ASK = ["--lag-ps", "10", "--temperature", "350", "--force-field", "amber14", "--solvent",
       "TIP3P-FB", "--termini", "charged"]


def run(*arguments):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = convert.main(list(arguments))
    return code, said.getvalue()


class Checkpoints(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.out = os.path.join(self.folder, "out.safetensors")

    def test_a_published_checkpoint_becomes_a_surrogate(self):
        path, last, mean = lightning(self.folder)
        for weights, expected in [("auto", mean), ("ema", mean), ("model", last)]:
            code, said = run("import", path, self.out, *ASK, "--weights", weights)
            self.assertEqual(code, 0, said)
            card, values = convert.read_safetensors(self.out)
            self.assertEqual(set(values), set(expected))
            for name, value in expected.items():
                np.testing.assert_array_equal(values[name], value)
            self.assertEqual(card["network"]["layout"], "mdgen")
            self.assertEqual(card["domain"]["residues"], [4, 4])
            # libmarsfm checks every name, shape and number.
            marsfm.Model(self.out)

    def test_nothing_in_a_checkpoint_is_run(self):
        mark = os.path.join(self.folder, "it-ran")
        path, _, _ = lightning(self.folder, surprise=Evil(mark))
        self.assertEqual(run("import", path, self.out, *ASK)[0], 0)
        self.assertFalse(os.path.exists(mark))

    def test_export_reads_back_equal(self):
        path, _, mean = lightning(self.folder)
        back = os.path.join(self.folder, "back.ckpt")
        self.assertEqual(run("import", path, self.out, *ASK)[0], 0)
        self.assertEqual(run("export", self.out, back), (0, f"written to {back}\n"))
        stored = torchfile.read(back)
        options = vars(stored["hyper_parameters"]["args"])
        for name in ("embed_dim", "num_frames", "crop", "abs_pos_emb", "path_type", "prepend_ipa"):
            self.assertEqual(options[name], OPTIONS[name])
        for name, value in mean.items():
            np.testing.assert_array_equal(stored["state_dict"][f"model.{name}"].numpy(), value)
        self.assertEqual(stored["state_dict"]["model.pos_embed"].shape, (1, 4, 32))
        second = os.path.join(self.folder, "second.safetensors")
        self.assertEqual(run("import", back, second, *ASK)[0], 0)
        card, values = convert.read_safetensors(self.out)
        card["network"]["temperature"] = True
        convert.write_safetensors(self.out, card, values)
        os.remove(back)
        code, said = run("export", self.out, back)
        self.assertEqual((code, os.path.exists(back)), (1, False))
        self.assertIn("no temperature input", said)

    def test_what_cannot_be_imported_is_refused_by_name(self):
        cases = [(dict(hyena=True), "hyena"), (dict(tps_condition=True), "tps_condition"),
                 (dict(path_type="VP"), "path_type"), (dict(embed_dim=None), "embed_dim"),
                 (dict(abs_pos_emb=False), "--residues")]
        for change, expected in cases:
            options = {**OPTIONS, **change}
            options = {n: v for n, v in options.items() if n != "embed_dim" or v is not None}
            path, _, _ = lightning(self.folder, options)
            code, said = run("import", path, self.out, *ASK)
            self.assertEqual(code, 1)
            self.assertIn(expected, said)
            self.assertFalse(os.path.exists(self.out))
        path, _, _ = lightning(self.folder, average=False)
        self.assertIn("ema", run("import", path, self.out, *ASK, "--weights", "ema")[1])
        for content in (b"", b"\x80\x02}q\x00.", b"PK\x03\x04 no archive"):
            with open(path, "wb") as file:
                file.write(content)
            code, said = run("import", path, self.out, *ASK)
            self.assertEqual(code, 1)
            self.assertIn(path, said)


if __name__ == "__main__":
    unittest.main()
