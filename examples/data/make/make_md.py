#!/usr/bin/env python3
"""Make MD of short peptides with OpenMM: amber14 (ff14SB) + OBC2 implicit solvent, 350 K, frames of the heavy atoms.

    python -m venv v && v/bin/pip install openmm numpy PeptideBuilder biopython
    v/bin/python make_md.py --work work --out done --sequences sequences.txt
    v/bin/python make_md.py --work work --out done AGTA ACE-AV-NME

Peptides with charged ends (NH3+ ... COO-), or between the caps ACE and NME if the name says so, at pH 7; no cutoff;
LangevinMiddle, friction 0.3 per ps, 4 fs steps, 3 amu hydrogens, bonds to hydrogen constrained. Even replicas start
extended, odd ones helical; the first 40 ps are discarded, and so are those at --heat kelvin and of --cool
before them (gbsa only).
Sequences are made one whole sequence after another. A finished one appears in OUT as

    NAME/NAME.pdb        non-hydrogen atoms, the topology of the trajectories
    NAME/NAME_full.pdb   all atoms, the minimised extended start
    NAME/NAME_system.xml the OpenMM System
    NAME/rK.xtc          replica K, nm, one frame per --frame-ps (1 ps), contiguous in time, no box, not aligned

and in OUT/manifest.json. WORK keeps a checkpoint every 100 ps: kill the process at will and start it again with the same
command. Seeds are a function of (sequence, replica) only. One process uses one core: with --platform Reference (double
precision, the default) or CPU (single precision; which is faster depends on the processor). With --platform gbsa the
MD is made by marsfm-gbsa (plugins/gbsa), sixteen replicas at a time and some twenty times as fast; a sequence that is
killed begins anew. For more cores start more processes, each with sequences, WORK and OUT of its own.
"""
import argparse
import hashlib
import io
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time

import Bio.PDB
import numpy as np
import openmm
import PeptideBuilder
from openmm import app, unit
from openmm.app.internal.customgbforces import GBSAOBC2Force
from PeptideBuilder import Geometry

TEMPERATURE_K, STEP_PS, FRICTION_PER_PS, HYDROGEN_AMU = 350.0, 0.004, 0.3, 3.0
DROP_PS, CHUNK_PS, HEAT_PS = 40, 100, 60
STARTS = {"extended": (-120.0, 130.0), "helical": (-65.0, -40.0)}  # phi, psi in degrees
BEFORE_PROLINE_PSI = 130.0  # degrees, in both starts
AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWY")
CAP_ATOMS = {"ACE": {"CA": "CH3", "C": "C", "O": "O"}, "NME": {"N": "N", "CA": "C"}}  # of glycine: what it becomes
KJ, NM = unit.kilojoule_per_mole, unit.nanometer


def seed_of(name, replica):
    """A positive 31-bit seed that depends on the sequence and the replica only."""
    digest = hashlib.sha256(f"{name}/{replica}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (2**31 - 1) + 1


def reference():
    return openmm.Platform.getPlatformByName("Reference")


def letters_of(name):
    """The sequence in a name, and whether caps stand around it: ACE-AV-NME is AV, capped."""
    capped = name.startswith("ACE-") and name.endswith("-NME")
    return (name[4:-4], True) if capped else (name, False)


def cap(chain):
    """Turn the first and the last residue, glycines, into ACE and NME."""
    residues = list(chain.get_residues())
    for residue, kind in ((residues[0], "ACE"), (residues[-1], "NME")):
        atoms = list(residue)
        for atom in atoms:
            residue.detach_child(atom.id)
        for atom in atoms:
            if atom.id in CAP_ATOMS[kind]:
                atom.id = atom.name = CAP_ATOMS[kind][atom.id]
                atom.fullname = f" {atom.name:<3}"
                residue.add(atom)
        residue.resname = kind


def build(name, phi, psi, variants=None):
    """All-atom peptide at pH 7: topology, positions, protonation variants. Proline keeps phi = -70 degrees, and a
    residue before it its extended psi: helical ones go there within nanoseconds and do not come back.

    Give the variants of the first start to the second, so that a histidine is the same tautomer in both.
    """
    letters, capped = letters_of(name)
    letters = f"G{letters}G" if capped else letters
    chain = PeptideBuilder.initialize_res(Geometry.geometry(letters[0]))
    for letter in letters[1:]:
        residue = Geometry.geometry(letter)
        residue.phi, residue.psi_im1 = (-70.0, BEFORE_PROLINE_PSI) if letter == "P" else (phi, psi)
        PeptideBuilder.add_residue(chain, residue)
    if capped:
        cap(chain)
    else:
        PeptideBuilder.add_terminal_OXT(chain)
    text, writer = io.StringIO(), Bio.PDB.PDBIO()
    writer.set_structure(chain)
    writer.save(text)
    text.seek(0)
    pdb = app.PDBFile(text)
    modeller = app.Modeller(pdb.topology, pdb.positions)
    random.seed(seed_of(name, 0))  # addHydrogens starts hydrogens in random directions
    chosen = modeller.addHydrogens(app.ForceField("amber14-all.xml"), pH=7.0, variants=variants, platform=reference())
    return modeller.topology, modeller.positions, chosen


def make_system(topology):
    """amber14 without cutoff plus OpenMM's own GBSAOBCForce with OBC2 radii: several times faster than the custom force."""
    system = app.ForceField("amber14-all.xml").createSystem(
        topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds, hydrogenMass=HYDROGEN_AMU * unit.amu)
    nonbonded = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    nonbonded.setReactionFieldDielectric(1.0)
    gb = openmm.GBSAOBCForce()
    for i, parameters in enumerate(GBSAOBC2Force.getStandardParameters(topology)):
        gb.addParticle(nonbonded.getParticleParameters(i)[0], float(parameters[0]), float(parameters[1]))
    system.addForce(gb)
    return system


def simulation(topology, system, seed, platform=None):
    integrator = openmm.LangevinMiddleIntegrator(
        TEMPERATURE_K * unit.kelvin, FRICTION_PER_PS / unit.picosecond, STEP_PS * unit.picosecond)
    integrator.setRandomNumberSeed(seed)
    if platform == "CPU":
        return app.Simulation(topology, system, integrator, openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
    return app.Simulation(topology, system, integrator, reference())


def minimised(topology, system, positions):
    sim = simulation(topology, system, 1)
    sim.context.setPositions(positions)
    sim.minimizeEnergy(maxIterations=500)
    return sim.context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(NM)


def alpha(residue):
    """The carbon beside the peptide bond: CA, or that of a cap."""
    return next(residue[name] for name in ("CA", "CH3", "C") if name in residue)


class BadStart(Exception):
    """A start that minimisation left with a D amino acid or a cis peptide bond."""


def check_stereo(name, topology, x):
    """Refuse unless every residue but glycine is L and every peptide bond trans (in a built start both must hold)."""
    residues = [{a.name: x[a.index] for a in r.atoms()} for r in topology.residues()]
    for i, r in enumerate(residues):
        if "CB" in r and np.dot(np.cross(r["N"] - r["CA"], r["C"] - r["CA"]), r["CB"] - r["CA"]) < 0:
            raise BadStart(f"{name}: residue {i + 1} is not an L amino acid after building")
        if i:
            p = residues[i - 1]
            b = r["N"] - p["C"]
            if np.dot(np.cross(p["C"] - alpha(p), b), np.cross(b, alpha(r) - r["N"])) > 0:
                raise BadStart(f"{name}: the peptide bond before residue {i + 1} is cis after building")


def write_pdb(topology, positions, path):
    with open(path + ".tmp", "w") as f:
        app.PDBFile.writeFile(topology, positions * unit.nanometer, f)
    os.replace(path + ".tmp", path)


def read_json(path):
    with open(path) as f:
        return json.load(f)


def write_json(value, path):
    with open(path + ".tmp", "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")
    os.replace(path + ".tmp", path)


def set_up(name, folder):
    """Build, minimise and store both starts; the folder counts as set up once NAME.pdb is there."""
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(f"{folder}/{name}.pdb"):
        return
    variants = None
    for label, (phi, psi) in STARTS.items():
        topology, positions, variants = build(name, phi, psi, variants)
        x = minimised(topology, system := make_system(topology), positions)
        check_stereo(name, topology, x)
        np.save(f"{folder}/start_{label}.npy", x)
        if label == "extended":
            full = x
    with open(f"{folder}/{name}_system.xml", "w") as f:
        f.write(openmm.XmlSerializer.serialize(system))
    write_pdb(topology, full, f"{folder}/{name}_full.pdb")
    heavy, subset = heavy_atoms(topology, full)
    write_pdb(subset, full[heavy], f"{folder}/{name}.pdb")


def heavy_atoms(topology, x):
    """Indices of the non-hydrogen atoms and the topology of these alone."""
    modeller = app.Modeller(topology, x * unit.nanometer)
    hydrogens = [a for a in topology.atoms() if a.element is app.element.hydrogen]
    modeller.delete(hydrogens)
    return [a.index for a in topology.atoms() if a.element is not app.element.hydrogen], modeller.topology


def degrees_of_freedom(system):
    """Of the kinetic energy: less the constraints, and less 3 because createSystem's CMMotionRemover stops the drift."""
    return 3 * system.getNumParticles() - system.getNumConstraints() - 3


def run_replica(name, folder, replica, length_ps, frame_ps, platform):
    """Run one replica to length_ps, from its last checkpoint if there is one; returns its manifest entry and CPU-seconds."""
    topology = app.PDBFile(f"{folder}/{name}_full.pdb").topology
    with open(f"{folder}/{name}_system.xml") as f:
        system = openmm.XmlSerializer.deserialize(f.read())
    start, seed = ("helical" if replica % 2 else "extended"), seed_of(name, replica)
    x0 = np.load(f"{folder}/start_{start}.npy")
    heavy, subset = heavy_atoms(topology, x0)
    sim = simulation(topology, system, seed, platform)
    steps = round(frame_ps / STEP_PS)
    xtc, meta = f"{folder}/r{replica}.xtc", f"{folder}/r{replica}.json"
    if os.path.exists(meta):
        m = read_json(meta)
        if (m["frame_ps"], m["platform"]) != (frame_ps, platform):
            sys.exit(f"{name} r{replica} was begun with --frame-ps {m['frame_ps']} --platform {m['platform']}: go on "
                     f"with these, or remove {folder}")
        with open(f"{folder}/{m['checkpoint']}", "rb") as f:
            sim.context.loadCheckpoint(f.read())
        with open(xtc, "r+b") as f:
            f.truncate(m["bytes"])
    else:
        m = dict(frame_ps=frame_ps, platform=platform, ps=0, frames=0, bytes=0, sum_temperature=0.0, sum_potential=0.0, cpu_s=0.0)
        sim.context.setPositions(x0)
        sim.context.setVelocitiesToTemperature(TEMPERATURE_K * unit.kelvin, seed)
        sim.step(round(DROP_PS / STEP_PS))
        if os.path.exists(xtc):
            os.unlink(xtc)
    kelvin_per_kj = 2.0 / (degrees_of_freedom(system) * unit.MOLAR_GAS_CONSTANT_R.value_in_unit(KJ / unit.kelvin))
    while m["ps"] < length_ps:
        begun = time.process_time()
        out = app.XTCFile(xtc, subset, STEP_PS, firstStep=steps, interval=steps, append=m["ps"] > 0)
        for _ in range(min(CHUNK_PS, length_ps - m["ps"]) // frame_ps):
            sim.step(steps)
            state = sim.context.getState(getPositions=True, getEnergy=True)
            potential = state.getPotentialEnergy().value_in_unit(KJ)
            m["ps"] += frame_ps
            m["frames"] += 1
            if not math.isfinite(potential):
                sys.exit(f"{name} r{replica}: energy not finite at {m['ps']} ps")
            m["sum_potential"] += potential
            m["sum_temperature"] += state.getKineticEnergy().value_in_unit(KJ) * kelvin_per_kj
            out.writeModel(state.getPositions(asNumpy=True).value_in_unit(NM)[heavy])
        m["cpu_s"] += time.process_time() - begun
        m["bytes"] = os.path.getsize(xtc)
        old, m["checkpoint"] = m.get("checkpoint"), f"r{replica}.{m['ps']}.chk"
        with open(f"{folder}/{m['checkpoint']}", "wb") as f:
            f.write(sim.context.createCheckpoint())
        write_json(m, meta)
        if old:
            os.unlink(f"{folder}/{old}")
    return {
        "file": f"r{replica}.xtc", "start": start, "seed": seed, "platform": platform, "frames": m["frames"],
        "length_ps": m["ps"], "bytes": m["bytes"], "mean_temperature_K": round(m["sum_temperature"] / m["frames"], 2),
        "mean_potential_kJ_mol": round(m["sum_potential"] / m["frames"], 2),
    }, m["cpu_s"]


def run_together(name, folder, replicas, length_ps, frame_ps, heat_kelvin, cool_ps, program):
    """Run all replicas with marsfm-gbsa, sixteen at a time; returns their manifest entries with their CPU-seconds."""
    topology = app.PDBFile(f"{folder}/{name}_full.pdb").topology
    begun = os.times()
    labels = ["helical" if k % 2 else "extended" for k in range(replicas)]
    starts = {label: np.load(f"{folder}/start_{label}.npy") for label in STARTS}
    heavy, _ = heavy_atoms(topology, starts["extended"])
    write_json({
        "system": f"{folder}/{name}_system.xml", "starts": [x.tolist() for x in starts.values()], "atoms": heavy,
        "replicas": [{"start": list(starts).index(label), "seed": seed_of(name, k), "xtc": f"{folder}/r{k}.xtc"}
                     for k, label in enumerate(labels)],
        "temperature_kelvin": TEMPERATURE_K, "friction_per_ps": FRICTION_PER_PS, "step_ps": STEP_PS,
        "heat": heat_kelvin and {"temperature_kelvin": heat_kelvin, "steps": round(HEAT_PS / STEP_PS),
                                 "cool_steps": round(cool_ps / STEP_PS)},
        "drop_steps": round(DROP_PS / STEP_PS), "frame_steps": round(frame_ps / STEP_PS), "frames": length_ps // frame_ps,
    }, f"{folder}/job.json")
    answer = json.loads(subprocess.run([program, f"{folder}/job.json"], check=True, stdout=subprocess.PIPE).stdout)
    end = os.times()
    cpu_s = end.children_user + end.children_system - begun.children_user - begun.children_system
    heated = {"heated_K": heat_kelvin, "heated_ps": HEAT_PS, "cooled_ps": cool_ps} if heat_kelvin else {}
    return [({
        "file": f"r{k}.xtc", "start": labels[k], **heated, "seed": seed_of(name, k), "platform": "gbsa",
        "frames": length_ps // frame_ps, "length_ps": length_ps, "bytes": os.path.getsize(f"{folder}/r{k}.xtc"),
        "mean_temperature_K": round(done["mean_temperature_kelvin"], 2),
        "mean_potential_kJ_mol": round(done["mean_potential_kj_mol"], 2),
    }, cpu_s / replicas) for k, done in enumerate(answer)]


def entry(name, role, system, topology, replicas, frame_ps):
    """What the manifest says about a finished sequence."""
    total = sum(r["length_ps"] for r in replicas)
    heavy = sum(a.element is not app.element.hydrogen for a in topology.atoms())
    letters, capped = letters_of(name)
    return {
        "name": name, "role": role, "sequence": letters, "termini": "ACE / NME" if capped else "NH3+ / COO-",
        "atoms_all": system.getNumParticles(), "atoms_heavy": heavy, "temperature_K": TEMPERATURE_K,
        "save_interval_ps": frame_ps, "replicas": replicas,
        "total_ns": total / 1000, "frames": sum(r["frames"] for r in replicas),
    }


def make(name, role, work, out, replicas, length_ps, frame_ps, platform, heat_kelvin, cool_ps, program):
    """Make one whole sequence and publish it in out, unless it is there already."""
    manifest_path = f"{out}/manifest.json"
    manifest = read_json(manifest_path) if os.path.exists(manifest_path) else {
        "engine": f"OpenMM {openmm.Platform.getOpenMMVersion()}",
        "force_field": "amber14-all (ff14SB) + OBC2 implicit solvent (GBSAOBCForce, mbondi2 radii, ACE surface term, "
                       "water dielectric 78.3, solute 1)",
        "nonbonded": "no cutoff", "integrator": "LangevinMiddle", "friction_per_ps": FRICTION_PER_PS,
        "timestep_fs": STEP_PS * 1000, "hydrogen_mass_amu": HYDROGEN_AMU, "constraints": "bonds to hydrogen",
        "discarded_equilibration_ps": DROP_PS, "pH": 7, "stored_atoms": "non-hydrogen", "xtc_precision_nm": 0.001,
        "licence": "made for this project", "peptides": []}
    if any(p["name"] == name for p in manifest["peptides"]):
        return
    folder = f"{work}/{name}"
    set_up(name, folder)
    if platform == "gbsa":
        runs = run_together(name, folder, replicas, length_ps, frame_ps, heat_kelvin, cool_ps, program)
    else:
        runs = [run_replica(name, folder, k, length_ps, frame_ps, platform) for k in range(replicas)]
    os.makedirs(f"{out}/{name}", exist_ok=True)
    for file in [f"{name}.pdb", f"{name}_full.pdb", f"{name}_system.xml", *(r["file"] for r, _ in runs)]:
        shutil.copyfile(f"{folder}/{file}", f"{out}/{name}/{file}")
    with open(f"{folder}/{name}_system.xml") as f:
        system = openmm.XmlSerializer.deserialize(f.read())
    topology = app.PDBFile(f"{folder}/{name}_full.pdb").topology
    manifest["peptides"].append(entry(name, role, system, topology, [r for r, _ in runs], frame_ps))
    write_json(manifest, manifest_path)
    cpu, temperature = sum(c for _, c in runs), np.mean([r["mean_temperature_K"] for r, _ in runs])
    print(f"{name}: {replicas} x {length_ps} ps, {temperature:.1f} K, {cpu:.0f} CPU-s, "
          f"{len(manifest['peptides'])} sequences finished", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="sequences, one letter per residue")
    parser.add_argument("--sequences", metavar="FILE", help="file with one sequence a line, made after NAMEs")
    parser.add_argument("--work", default="work", help="folder of unfinished work and checkpoints")
    parser.add_argument("--out", default="done", help="folder of finished sequences")
    parser.add_argument("--ps", type=int, default=500, help="picoseconds kept per replica")
    parser.add_argument("--frame-ps", type=int, default=1, help="picoseconds between frames; 100 must be its multiple")
    parser.add_argument("--platform", choices=["Reference", "CPU", "gbsa"], default="Reference",
                        help="OpenMM's, or gbsa: the program of marsfm's plugin of this name, sixteen replicas at a time")
    parser.add_argument("--gbsa", metavar="PROGRAM", default="marsfm-gbsa", help="where marsfm-gbsa is")
    parser.add_argument("--heat", type=float, metavar="K",
                        help=f"first {HEAT_PS} ps at this temperature, so that replicas begin apart (gbsa only)")
    parser.add_argument("--cool", type=int, default=0, metavar="PS",
                        help="so long the temperature then falls evenly from that of --heat")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--role", default="train", help="what the manifest says they are for")
    a = parser.parse_args()
    names = list(a.names)
    if a.sequences:
        with open(a.sequences) as f:
            names += f.read().split()
    for name in names:
        letters, _ = letters_of(name)
        if len(letters) < 2 or set(letters) - AMINO_ACIDS:
            parser.error(f"{name!r} is not a sequence of two or more of the 20 amino acids, one letter each, "
                         "alone or as ACE-SEQUENCE-NME")
    if not names or a.ps < 1 or a.replicas < 1:
        parser.error("give at least one sequence, one picosecond and one replica")
    if a.frame_ps < 1 or CHUNK_PS % a.frame_ps or a.ps % a.frame_ps:
        parser.error("--frame-ps must divide 100 and --ps")
    if a.heat is not None and (a.platform != "gbsa" or not TEMPERATURE_K < a.heat <= 1000.0):
        parser.error(f"--heat is for --platform gbsa, and between {TEMPERATURE_K} and 1000 K")
    if a.cool < 0 or (a.cool and a.heat is None):
        parser.error("--cool goes on from --heat, and is not negative")
    os.makedirs(a.out, exist_ok=True)
    left_out = []
    for name in names:
        try:
            make(name, a.role, a.work, a.out, a.replicas, a.ps, a.frame_ps, a.platform, a.heat, a.cool, a.gbsa)
        except BadStart as e:
            print(f"{e}; left out", file=sys.stderr, flush=True)
            left_out.append(name)
    if left_out:
        sys.exit(f"left out: {' '.join(left_out)}")


if __name__ == "__main__":
    main()
