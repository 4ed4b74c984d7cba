"""OpenMM runs that start from jumps.

``jump(simulation)`` moves the Context to another conformation, ``JumpReporter`` does so every so
many steps, ``seed(simulation)`` makes starting structures and leaves the Context alone. Samples are
minimised beside the Context (first with the heavy atoms restrained, then freely), judged, and only
then handed to it with new velocities; if none passes, the Context stays as it was.

MD with jumps in between does not satisfy detailed balance: treat what follows each jump as a run of
its own, drop its head (10 ps for peptides), and read populations off a Markov model of the runs,
never off the joined trajectory. In implicit solvent or vacuum only: a solvated box is refused,
because water would have to be placed anew around the new conformation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from ._ffi import Minimised
from .session import Atom, Batch, Model, Sample, SeedVerdict, Session, Topology

# As in the engine plugin: enough to mend a sample, too little to make it another conformation.
RESTRAINT_KJ_MOL_NM2 = 10_000.0
RESTRAINED_ITERATIONS, FREE_ITERATIONS = 300, 20
WATERS = {"HOH", "WAT", "SOL", "H2O", "TIP3", "TIP4", "TP3", "SPC", "DOD"}


@dataclass(frozen=True)
class Seed:
    """A sample that was minimised and judged."""

    positions_nm: NDArray[np.float64]
    sample: Sample
    verdict: SeedVerdict
    energy_kj_mol: float


@dataclass(frozen=True)
class Jump:
    """What came of a jump; ``seed`` is None if the Context stayed as it was."""

    seed: Seed | None
    step: int
    draws: int
    refused: list[list[str]] = field(default_factory=list)


def _topology(topology: openmm.app.Topology) -> Topology:
    waters = sum(r.name.upper() in WATERS for r in topology.residues())
    if waters:
        raise ValueError(
            f"the system has {waters} water molecules: jumps inside a Context are for implicit "
            "solvent and vacuum; make seeds of the solute and solvate each of them anew")
    atoms = []
    for atom in topology.atoms():
        residue = atom.residue
        try:
            number = int(residue.id)
        except ValueError:
            number = residue.index + 1
        atoms.append(Atom(atom.name, residue.name, number,
                          atom.element.symbol if atom.element is not None else "",
                          residue.chain.id or "", residue.insertionCode.strip()))
    return Topology(atoms)


class Jumper:
    """What a Simulation needs for jumps; keep it for several of them."""

    def __init__(self, simulation: openmm.app.Simulation, model: Model | None = None,
                 temperature_kelvin: float | None = None) -> None:
        self._simulation = simulation
        self._temperature = temperature_kelvin
        if temperature_kelvin is None:
            if not hasattr(simulation.integrator, "getTemperature"):
                raise ValueError("the integrator has no temperature: give temperature_kelvin")
            kelvin = simulation.integrator.getTemperature()
            self._temperature = kelvin.value_in_unit(unit.kelvin)
        topology = _topology(simulation.topology)
        if simulation.system.getNumParticles() != topology.n_atoms:
            raise ValueError("the System has other particles than the topology has atoms "
                             "(virtual sites and Drude particles are not supported)")
        self._session = Session(model or Model(), topology, self._temperature)
        self._beside, self._ensemble = self._context_beside(), []

    def _context_beside(self) -> openmm.Context:
        system = openmm.XmlSerializer.clone(self._simulation.system)
        restraint = openmm.CustomExternalForce("0.5*marsfm_k*((x-x0)^2+(y-y0)^2+(z-z0)^2)")
        restraint.addGlobalParameter("marsfm_k", 0.0)
        for name in ("x0", "y0", "z0"):
            restraint.addPerParticleParameter(name)
        for atom in self._simulation.topology.atoms():
            if atom.element is not None and atom.element.symbol != "H":
                restraint.addParticle(atom.index, [0.0, 0.0, 0.0])
        system.addForce(restraint)
        self._restraint = restraint
        platform = self._simulation.context.getPlatform()
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
        for name, value in self._simulation.context.getParameters().items():
            context.setParameter(name, value)
        return context

    def _state(self) -> tuple[float, NDArray[np.float64], float]:
        state = self._beside.getState(getEnergy=True, getPositions=True, getForces=True)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        forces = state.getForces(asNumpy=True)
        forces = forces.value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        return energy, np.array(positions), float(np.sqrt((forces**2).sum(axis=1).max()))

    def minimise(self, positions_nm: NDArray[np.float64],
                 box: object = None) -> tuple[NDArray[np.float64], Minimised]:
        """Positions after restrained and free minimisation, and their energies."""
        context = self._beside
        if box is not None:
            context.setPeriodicBoxVectors(*box)
        for i in range(self._restraint.getNumParticles()):
            atom, _ = self._restraint.getParticleParameters(i)
            self._restraint.setParticleParameters(i, atom, positions_nm[atom])
        self._restraint.updateParametersInContext(context)
        context.setParameter("marsfm_k", 0.0)
        context.setPositions(positions_nm)
        context.applyConstraints(1e-5)
        context.computeVirtualSites()
        before = self._state()[0]
        context.setParameter("marsfm_k", RESTRAINT_KJ_MOL_NM2)
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=RESTRAINED_ITERATIONS)
        context.setParameter("marsfm_k", 0.0)
        restrained = self._state()[0]
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=FREE_ITERATIONS)
        after, minimised_nm, force = self._state()
        return minimised_nm, Minimised(before_kj_mol=before, restrained_kj_mol=restrained,
                                       after_kj_mol=after, max_force_kj_mol_nm=force)

    def _drawn(self, n: int, rng_seed: int) -> tuple[Batch, object]:
        state = self._simulation.context.getState(getPositions=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        box = box_nm = None
        if self._simulation.system.usesPeriodicBoundaryConditions():
            box = state.getPeriodicBoxVectors()
            box_nm = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
        batch = self._session.jump(positions, n, rng_seed, box_nm)
        self._ensemble.append(self.minimise(np.array(positions), box)[1])
        return batch, box

    def seeds(self, n: int = 8, rng_seed: int = 1):
        """Yields every drawn sample that is not rejected, minimised and judged."""
        batch, box = self._drawn(n, rng_seed)
        for i in range(len(batch)):
            sample = batch.sample(i)
            if sample.status == "rejected":
                continue
            minimised_nm, energies = self.minimise(batch.positions_nm(i), box)
            if not np.isfinite(minimised_nm).all():
                continue
            verdict = batch.judge(i, minimised_nm, energies, self._ensemble)
            yield Seed(minimised_nm, sample, verdict, energies.after_kj_mol)

    def jump(self, n: int = 8, rng_seed: int = 1) -> Jump:
        """Moves the Context to the first of at most n samples that passes, with new velocities."""
        simulation, refused = self._simulation, []
        for seed in self.seeds(n, rng_seed):
            if seed.verdict.status == "rejected":
                refused.append(seed.verdict.reasons)
                continue
            context = simulation.context
            context.setPositions(seed.positions_nm)
            context.applyConstraints(1e-5)
            context.computeVirtualSites()
            context.setVelocitiesToTemperature(self._temperature * unit.kelvin,
                                               rng_seed % (2**31 - 1) + 1)
            return Jump(seed, simulation.currentStep, n, refused)
        return Jump(None, simulation.currentStep, n, refused)


def jump(simulation: openmm.app.Simulation, n: int = 8, rng_seed: int = 1,
         model: Model | None = None, temperature_kelvin: float | None = None) -> Jump:
    """One jump; for several, keep a Jumper: it remembers the energies of plain MD."""
    return Jumper(simulation, model, temperature_kelvin).jump(n, rng_seed)


def seed(simulation: openmm.app.Simulation, n: int = 8, rng_seed: int = 1,
         model: Model | None = None, temperature_kelvin: float | None = None) -> list[Seed]:
    """Seeds that may start MD; the Context stays as it is."""
    seeds = Jumper(simulation, model, temperature_kelvin).seeds(n, rng_seed)
    return [s for s in seeds if s.verdict.status != "rejected"]


class JumpReporter:
    """Jumps every ``interval`` steps. Append it last: reporters before it still see the old
    conformation. ``jumps`` lists what came of each; begin a new run of the Markov model there."""

    def __init__(self, simulation: openmm.app.Simulation, interval: int, n: int = 8,
                 rng_seed: int = 1, model: Model | None = None,
                 temperature_kelvin: float | None = None) -> None:
        if interval < 1:
            raise ValueError(f"interval is {interval}")
        self._jumper = Jumper(simulation, model, temperature_kelvin)
        self._interval, self._n, self._rng_seed = interval, n, rng_seed
        self.jumps: list[Jump] = []

    def describeNextReport(self, simulation: openmm.app.Simulation):
        steps = self._interval - simulation.currentStep % self._interval
        return steps, False, False, False, False, None

    def report(self, simulation: openmm.app.Simulation, state: openmm.State) -> None:
        self.jumps.append(self._jumper.jump(self._n, self._rng_seed + len(self.jumps)))
