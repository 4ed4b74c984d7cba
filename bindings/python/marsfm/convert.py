"""MDGen's published checkpoints to marsfm's format, and back.

    python -m marsfm.convert import forward_sim.ckpt out.safetensors --lag-ps 10 \\
        --temperature 350 --force-field "amber14" --solvent "TIP3P-FB" --termini charged
    python -m marsfm.convert export model.safetensors out.ckpt

A Lightning checkpoint is a pickle, which libmarsfm refuses to open; here it is read without running
anything it names (``marsfm.torchfile``), and PyTorch is not needed. What a checkpoint doesn't say
and a surrogate must (lag between frames, temperature, force field, solvent) the caller says.
"""

import argparse
import json
import os
import struct
import sys
from collections import Counter, OrderedDict

import numpy as np

try:
    from . import torchfile
except ImportError:  # run as a file, without the package
    import torchfile

FORMAT, RESIDUE_TABLE = 1, "alphafold-mdgen/1"
#: Buffers of the reference network: constants that marsfm computes itself.
BUFFERS = ("pos_embed", "rot_emb.inv_freq")
SIZES = ("embed_dim", "num_layers", "mha_heads", "ipa_heads", "ipa_head_dim", "ipa_qk", "ipa_v")
#: Options of the reference that change what the network computes, and the one value supported.
REQUIRED = {"sim_condition": True, "prepend_ipa": True, "hyena": False, "no_rope": False,
            "interleave_ipa": False, "no_offsets": False, "no_frames": False, "no_torsion": False,
            "no_design_torsion": False, "design": False, "design_key_frames": False,
            "tps_condition": False, "inpainting": False, "dynamic_mpnn": False, "mpnn": False,
            "abs_time_emb": False, "no_aa_emb": False, "cond_interval": None, "oracle": False,
            "time_multiplier": 100.0, "scale_factor": 1.0, "prediction": "velocity"}
#: What the reference takes for an option that an older checkpoint doesn't have.
ABSENT = {**REQUIRED, "sim_condition": False, "prepend_ipa": False}


def network_of(options):
    """marsfm's network configuration for the reference's options, or ``ValueError``."""
    for name, value in REQUIRED.items():
        found = options.get(name, ABSENT[name])
        if found != value and not (not found and not value):
            raise ValueError(f"the checkpoint was trained with {name} = {found!r}; only "
                             f"{value!r} can be imported (forward simulation)")
    missing = [n for n in (*SIZES, "num_frames") if n not in options]
    if missing:
        raise ValueError(f"the checkpoint does not say {', '.join(missing)}")
    path = str(options.get("path_type", "GVP")).lower()
    if path not in ("gvp", "linear"):
        raise ValueError(f"path_type {path} is not supported; gvp and linear are")
    network = {name: int(options[name]) for name in SIZES}
    frames = int(options["num_frames"])
    absolute = bool(options.get("abs_pos_emb", False))
    network.update(layout="mdgen", frames=frames, path=path, abs_pos_emb=absolute,
                   crop=int(options["crop"]) if absolute else 0, masked_torsions="upstream")
    return network


def options_of(network):
    """The reference's options for a configuration of marsfm's, or ``ValueError``."""
    if network["layout"] == "t1":
        raise ValueError("the reference has no network of one token per residue (layout t1); "
                         "models of the layouts t2 and mdgen can be exported")
    if network.get("temperature"):
        raise ValueError("the reference's network has no temperature input; this model takes one "
                         "and cannot be exported")
    options = dict(REQUIRED)
    options.update({name: network[name] for name in SIZES})
    options.update(num_frames=network["frames"], crop=network.get("crop") or 256,
                   abs_pos_emb=network.get("abs_pos_emb", False), dropout=0.0, ema=False,
                   path_type={"gvp": "GVP", "linear": "Linear"}[network["path"]],
                   sampling_method="dopri5", lr=1e-4, adamW=False, grad_checkpointing=False)
    return options


def import_checkpoint(path, domain, weights="auto", notes=()):
    """Model card and parameters (name to f32 array) of a Lightning checkpoint of MDGen's.

    ``weights``: ``ema``, ``model``, or ``auto`` (the average where there is one, as the reference
    uses in validation).
    """
    stored = torchfile.read(path)
    if not isinstance(stored, dict) or "state_dict" not in stored:
        raise ValueError(f"{path}: no Lightning checkpoint: it holds no state_dict")
    arguments = stored.get("hyper_parameters", {}).get("args")
    if arguments is None:
        raise ValueError(f"{path}: no MDGen checkpoint: hyper_parameters.args is missing")
    options = arguments if isinstance(arguments, dict) else vars(arguments)
    network = network_of(options)
    average = (stored.get("ema") or {}).get("params")
    if weights == "ema" and average is None:
        raise ValueError(f"{path}: holds no averaged weights (ema)")
    if weights != "model" and average is not None:
        named, which = average, "averaged (EMA)"
    else:
        named = {n[len("model."):]: t for n, t in stored["state_dict"].items()
                 if n.startswith("model.")}
        which = "last"
    values = {}
    for name, tensor in named.items():
        if name.endswith(BUFFERS):
            continue
        values[name] = tensor.numpy().astype("<f4")
        if not np.isfinite(values[name]).all():
            raise ValueError(f"{path}: parameter {name} is not finite")
    origin = (f"{which} weights of {os.path.basename(path)}, epoch {stored.get('epoch')}, "
              f"step {stored.get('global_step')}; the domain is what the importer said")
    card = {"format": FORMAT, "residue_table": RESIDUE_TABLE, "network": network,
            "domain": domain, "training": None, "notes": [origin, *notes]}
    return card, values


def write_safetensors(path, card, values):
    """Writes a checkpoint of marsfm's; the file appears whole or not at all."""
    header, at = {"__metadata__": {"marsfm": json.dumps(card)}}, 0
    for name in sorted(values):
        size = values[name].nbytes
        header[name] = {"dtype": "F32", "shape": list(values[name].shape),
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{path}.part", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(values):
            file.write(values[name].tobytes())
    os.replace(f"{path}.part", path)


def read_safetensors(path):
    """Model card and parameters (as f32 arrays) of a checkpoint of marsfm's."""
    with open(path, "rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= 16 << 20:
            raise ValueError(f"{path}: no safetensors file")
        try:
            header = json.loads(file.read(length))
            card = json.loads(header.pop("__metadata__")["marsfm"])
        except (ValueError, KeyError):
            raise ValueError(f"{path}: no checkpoint of marsfm's: it has no model card") from None
        data = file.read()
    values = {}
    for name, info in header.items():
        raw = data[slice(*info["data_offsets"])]
        if info["dtype"] == "BF16":
            flat = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            flat = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[info["dtype"]])
        values[name] = flat.astype("<f4").reshape(info["shape"])
    return card, values


def buffers(network):
    """The constants that the reference stores among its parameters."""
    c, made = network["embed_dim"], {}
    if network.get("abs_pos_emb"):
        half = c // 2
        angle = np.arange(network["crop"])[:, None] * 10000.0 ** (-np.arange(half) / half)
        made["pos_embed"] = np.concatenate([np.sin(angle), np.cos(angle)], 1)[None]
    head = c // network["mha_heads"]
    frequencies = 10000.0 ** (-np.arange(0, head, 2) / head)
    for i in range(network["num_layers"]):
        for part in (f"ipa_layers.{i}.mha_l", f"layers.{i}.mha_l", f"layers.{i}.mha_t"):
            made[f"{part}.attn.rot_emb.inv_freq"] = frequencies
    return made


def export_checkpoint(model, path):
    """Writes a surrogate of layout t2 or mdgen as a Lightning checkpoint for the reference code."""
    card, values = read_safetensors(model)
    options = options_of(card["network"])
    everything = {**values, **buffers(card["network"])}
    state = OrderedDict((f"model.{name}", everything[name]) for name in sorted(everything))
    training = card.get("training") or {}
    stored = {"epoch": 0, "global_step": int(training.get("steps", 0)),
              "pytorch-lightning_version": "2.0.4", "state_dict": state, "loops": {},
              "callbacks": {}, "optimizer_states": [], "lr_schedulers": [],
              "hparams_name": "kwargs",
              "hyper_parameters": {"args": argparse.Namespace(**options)}}
    torchfile.write(f"{path}.part", stored)
    os.replace(f"{path}.part", path)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m marsfm.convert", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    ours = commands.add_parser("import", help="a Lightning checkpoint of MDGen's to safetensors")
    ours.add_argument("checkpoint")
    ours.add_argument("out")
    ours.add_argument("--lag-ps", type=float, required=True, help="time between frames, ps")
    ours.add_argument("--temperature", type=float, required=True, help="K")
    ours.add_argument("--force-field", required=True)
    ours.add_argument("--solvent", required=True)
    ours.add_argument("--termini", required=True, choices=["charged", "capped", "mixed"])
    ours.add_argument("--residues", type=int, nargs=2, default=None, metavar=("MIN", "MAX"),
                      help="chain lengths it was trained on (default: its crop)")
    ours.add_argument("--residue-types", default="ACDEFGHIKLMNPQRSTVWY", metavar="LETTERS",
                      help="residue types it was trained on (default: all twenty)")
    ours.add_argument("--weights", choices=["auto", "ema", "model"], default="auto")
    ours.add_argument("--note", action="append", default=[], help="a line for the model card")
    theirs = commands.add_parser("export", help="a surrogate to a Lightning checkpoint")
    theirs.add_argument("model")
    theirs.add_argument("out")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "export":
            export_checkpoint(asked.model, asked.out)
        else:
            domain = {"lag_ps": asked.lag_ps, "temperature_kelvin": asked.temperature,
                      "force_field": asked.force_field, "solvent": asked.solvent,
                      "termini": asked.termini, "residues": asked.residues,
                      "residue_counts": dict.fromkeys(asked.residue_types, 1)}
            card, values = import_checkpoint(asked.checkpoint, domain, asked.weights, asked.note)
            if asked.residues is None:
                crop = card["network"]["crop"]
                if not crop:
                    raise ValueError("--residues MIN MAX is needed: the checkpoint does not say "
                                     "how long its chains were")
                card["domain"]["residues"] = [crop, crop]
            write_safetensors(asked.out, card, values)
        print(f"written to {asked.out}")
        return 0
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
