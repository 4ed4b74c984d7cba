"""./x bench-surrogate: one velocity evaluation, one tree of jumps and one training step of MDGen's
full configuration, beside the reference code in PyTorch, on the same weights and inputs.

One JSON line per case: the processor, least processor and wall seconds of one run on both sides, the
ratio of processor times, peak memory of both processes, and the largest difference of the two velocities.
Where the velocities differ by more than 2e-4 no ratio is printed.

  --reference DIR   a checkout of the reference code (github.com/bjing2016/mdgen); without it the
                    bench says SKIPPED
  --threads N       of both sides (default 1)
  --rounds N        runs of which the least counts (default 3)
  --cases A,B       only cases whose name begins with A or B
  --out FILE        also append the lines to FILE
"""

import argparse
import importlib.machinery
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

CASES = [("velocity", l, b) for l in (4, 100, 256) for b in (1, 16, 64)]
CASES += [("step", 4, 8), ("step", 100, 1), ("tree", 4, 16), ("tree", 100, 16)]
#: Evaluations of the reference's default sampler (dopri5, rtol 1e-3): at least so many.
REFERENCE_EVALUATIONS = 62


def save(path, tensors):
    header, at = {}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.float().contiguous().numpy().tobytes())


def load(path, torch):
    raw = Path(path).read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + length])
    header.pop("__metadata__", None)
    data = bytearray(raw[8 + length:])
    return {name: torch.frombuffer(data, dtype=torch.float32, offset=info["data_offsets"][0],
                                   count=math.prod(info["shape"])).reshape(info["shape"])
            for name, info in header.items()}


def reference_model(folder, weights):
    """The reference's network class, with stand-ins for what its package imports but this network
    does not use."""
    import torch

    for name in ["openfold", "openfold.utils", "openfold.utils.feats", "torchdiffeq", "Bio",
                 "Bio.PDB", "mdtraj", "pytorch_lightning", "wandb"]:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__getattr__ = lambda _attribute: None
        sys.modules.setdefault(name, module)
    sys.path.insert(0, str(folder))
    from mdgen.model.latent_model import LatentMDGenModel
    from mdgen.rigid_utils import Rigid, Rotation

    options = argparse.Namespace(
        embed_dim=384, num_layers=5, mha_heads=16, ipa_heads=4, ipa_head_dim=32, ipa_qk=8, ipa_v=8,
        num_frames=2, crop=256, abs_pos_emb=False, abs_time_emb=False, dropout=0.0, hyena=False,
        no_rope=False, interleave_ipa=False, prepend_ipa=True, sim_condition=True, design=False,
        tps_condition=False, inpainting=False, dynamic_mpnn=False, mpnn=False, no_aa_emb=False,
        cond_interval=None, time_multiplier=100.0, scale_factor=1.0, prediction="velocity",
        grad_checkpointing=False, oracle=False, no_torsion=False, no_offsets=False,
        no_frames=False, path_type="GVP")
    model = LatentMDGenModel(options, 21)
    missing, extra = model.load_state_dict(load(weights, torch), strict=False)
    if extra or any("inv_freq" not in name for name in missing):
        raise SystemExit(f"the reference has other parameters: {missing} {extra}")
    return model.eval(), Rigid, Rotation, torch


def inputs(torch, residues, batch, frames):
    generator = torch.Generator().manual_seed(residues * 1000 + batch)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    turn, _ = torch.linalg.qr(normal(batch, residues, 3, 3))
    turn = turn * torch.det(turn).sign()[..., None, None]
    flag = torch.zeros(batch, frames, residues)
    flag[:, 0] = 1
    return {"x": normal(batch, frames, residues, 21), "t": torch.rand(batch, generator=generator),
            "rots": turn, "trans": 3.8 * normal(batch, residues, 3).cumsum(1),
            "x_cond": normal(batch, frames, residues, 21) * flag[..., None], "x_cond_mask": flag,
            "aatype": torch.randint(0, 20, (batch, residues), generator=generator).float()}


def least(rounds, run):
    run()
    best = (math.inf, math.inf)
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        cpu = time.process_time() - cpu
        best = min(best, (cpu, time.perf_counter() - wall))
    return best


def peak_mb():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1e3


def reference_side(arguments):
    """Child process: one case of the reference; prints its figures, writes its velocity."""
    model, Rigid, Rotation, torch = reference_model(arguments.reference, arguments.weights)
    torch.set_num_threads(arguments.threads)
    data = load(arguments.case, torch)
    batch, frames, residues, _ = data["x"].shape
    given = dict(mask=torch.ones(batch, frames, residues), aatype=data["aatype"].long(),
                 start_frames=Rigid(trans=data["trans"], rots=Rotation(rot_mats=data["rots"])),
                 x_cond=data["x_cond"], x_cond_mask=data["x_cond_mask"].long())

    def forward():
        return model.forward_inference(data["x"], data["t"], **given)

    def step():
        model.zero_grad()
        ((forward() - data["x"]) ** 2).mean().backward()

    with torch.no_grad():
        save(f"{arguments.case}.reference", {"v": forward().reshape(-1, 21)})
    if arguments.kind == "step":
        cpu, wall = least(arguments.rounds, step)
    else:
        with torch.no_grad():
            cpu, wall = least(arguments.rounds, forward)
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "peak_mb": peak_mb()}))


def child(command, threads):
    names = ["OMP", "OPENBLAS", "MKL", "RAYON"]
    environment = {**os.environ, **{f"{n}_NUM_THREADS": str(threads) for n in names}}
    done = subprocess.run([str(c) for c in command], env=environment, stdout=subprocess.PIPE,
                          text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def processor():
    with open("/proc/cpuinfo") as file:
        return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))


def tell(line, out):
    print(json.dumps(line), flush=True)
    if out:
        with open(out, "a") as file:
            file.write(json.dumps(line) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="")
    parser.add_argument("--out", type=Path)
    for name in ("--kind", "--weights", "--case"):  # of the reference's child process
        parser.add_argument(name, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reference is None:
        print("SKIPPED: the reference code is not part of this project; check it out and give "
              "--reference DIR")
        return
    if arguments.kind:
        return reference_side(arguments)
    try:
        import torch
    except ImportError:
        raise SystemExit("bench-surrogate: the reference needs PyTorch (and einops, fair-esm, "
                         "SciPy); none for " + sys.executable) from None
    ours = arguments.release / "marsfm-bench-surrogate"
    wanted = [c for c in arguments.cases.split(",") if c]
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        checkpoint = Path(folder) / "checkpoint.safetensors"
        subprocess.run([ours, "weights", weights], check=True)
        subprocess.run([ours, "checkpoint", weights, checkpoint], check=True)
        rate = child([ours, "matrix", 20], arguments.threads)
        here = {"threads": arguments.threads, "cpu": processor()}
        tell({"matrix_library": rate, **here}, arguments.out)
        for kind, residues, batch in CASES:
            name = f"{kind} L={residues} batch={batch}"
            if wanted and not any(name.startswith(w) for w in wanted):
                continue
            case = Path(folder) / "case.safetensors"
            # A tree is the reference's sampler: so many evaluations of a batch of children.
            save(case, inputs(torch, residues, batch, 2))
            theirs = child([sys.executable, __file__, "--release", arguments.release, "--reference",
                            arguments.reference, "--kind", kind, "--weights", weights, "--case",
                            case, "--threads", arguments.threads, "--rounds", arguments.rounds],
                           arguments.threads)
            what = [kind, checkpoint, residues, batch] if kind == "tree" else [kind, weights, case]
            mine = child([ours, *what, arguments.threads, arguments.rounds], arguments.threads)
            line = {"case": name, **here, "load": os.getloadavg()[0],
                    "marsfm": mine, "reference": theirs}
            if kind == "tree":
                line["reference_evaluations"] = REFERENCE_EVALUATIONS
                for side, seconds in (("marsfm", mine["cpu_s"]),
                                      ("reference", theirs["cpu_s"] * REFERENCE_EVALUATIONS)):
                    line[f"{side}_conformations_per_cpu_s"] = batch / seconds
                line["ratio"] = theirs["cpu_s"] * REFERENCE_EVALUATIONS / mine["cpu_s"]
            else:
                v, w = load(f"{case}.out", torch)["v"], load(f"{case}.reference", torch)["v"]
                line["largest_difference"] = float((v - w).abs().max())
                if line["largest_difference"] <= 2e-4:
                    line["ratio"] = theirs["cpu_s"] / mine["cpu_s"]
            tell(line, arguments.out)


if __name__ == "__main__":
    main()
