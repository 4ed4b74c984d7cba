"""Topology, model, session and batch: jumps from NumPy positions in the caller's own order."""

from __future__ import annotations

import ctypes as c
import os
from dataclasses import dataclass
from typing import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _ffi
from ._ffi import Handle, call

SAMPLE = ("accepted", "needs repair", "rejected")
VERDICT = ("valid", "repaired", "rejected")
SEED_REASONS = ("sample", "moved", "strained", "chirality", "omega", "torsion", "energy", "force")
SAMPLE_REASONS = ("not finite", "broken chain", "omega", "clash", "chirality", "ring pierced")


def _names(mask: int, names: Sequence[str]) -> list[str]:
    return [name for bit, name in enumerate(names) if mask & 1 << bit]


@dataclass(frozen=True)
class Atom:
    """One atom as the caller names it."""

    name: str
    residue_name: str
    residue_number: int
    element: str = ""
    chain: str = ""
    insertion: str = ""


@dataclass(frozen=True)
class Sample:
    """Origin and verdict of one sample; ``status``: accepted, needs repair or rejected.
    ``idealised_nm`` is how far closing the chain moved its heavy atoms (0: as drawn)."""

    parent: int
    depth: int
    id: int
    status: str
    reasons: list[str]
    closest_contact_nm: float
    idealised_nm: float


@dataclass(frozen=True)
class SeedVerdict:
    """What became of a sample that was minimised; ``status``: valid, repaired or rejected."""

    status: str
    reasons: list[str]
    rms_nm: float
    max_torsion_degrees: float


def _xyz(positions_nm: ArrayLike) -> tuple[_ffi.Xyz, NDArray]:
    array = np.asarray(positions_nm)
    if array.dtype != np.float32:
        array = array.astype(np.float64, copy=False)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"positions have the shape {array.shape}; (atoms, 3) is needed")
    array = np.ascontiguousarray(array)
    dtype = 1 if array.dtype == np.float32 else 2
    return _ffi.Xyz(data_nm=array.ctypes.data, n_atoms=len(array), dtype=dtype), array


def _box(box_nm: ArrayLike | None) -> tuple[int | None, NDArray | None]:
    if box_nm is None:
        return None, None
    cell = np.ascontiguousarray(box_nm, dtype=np.float64)
    if cell.shape != (3, 3):
        raise ValueError(f"box has the shape {cell.shape}; (3, 3) is needed")
    return cell.ctypes.data, cell


def records(atoms: Sequence[Atom]) -> c.Array:
    """An array of marsfm_atom_t."""
    array = (_ffi.AtomRecord * max(len(atoms), 1))()
    for record, atom in zip(array, atoms):
        record.struct_size = c.sizeof(_ffi.AtomRecord)
        record.residue_number = atom.residue_number
        for field in ("name", "residue_name", "element", "chain", "insertion"):
            setattr(record, field, getattr(atom, field).encode())
    return array


class Topology:
    """Names and order of the caller's atoms."""

    atoms: list[Atom]

    def __init__(self, atoms: Iterable[Atom]) -> None:
        rows = self.atoms = list(atoms)
        array = records(rows)
        self._handle = Handle("topology", lambda out: call(
            "marsfm_topology_new_from_atoms", c.cast(array, c.c_void_p), len(rows), out))

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> Topology:
        """The atoms of a structure file (PDB, mmCIF and what the plugins read)."""
        made = cls.__new__(cls)
        made.atoms = []  # the library read them, and keeps them
        made._handle = Handle("topology", lambda out: call(
            "marsfm_topology_new_from_file", os.fsencode(path), out))
        return made

    @property
    def n_atoms(self) -> int:
        info = _ffi.TopologyInfo()
        call("marsfm_topology_info", self._handle.pointer, c.byref(info))
        return info.n_atoms

    @property
    def sequence(self) -> str:
        return _ffi.text("marsfm_topology_sequence", self._handle)


class Model:
    """A trained surrogate; without a path the default one."""

    def __init__(self, path: str | os.PathLike | None = None) -> None:
        name = None if path is None else os.fsencode(path)
        self._handle = Handle("model", lambda out: call("marsfm_model_load", name, None, out))
        info = _ffi.ModelInfo()
        call("marsfm_model_info", self._handle.pointer, c.byref(info))
        self.lag_ps: float = info.lag_ps
        self.temperature_kelvin: float = info.temperature_kelvin
        #: Lowest and highest temperature that sessions may ask for, K; None: it knows one alone.
        self.temperatures_kelvin: tuple[float, float] | None = (
            (info.min_temperature_kelvin, info.max_temperature_kelvin)
            if info.takes_temperature else None)


class Batch:
    """The samples of one request, rejected ones included."""

    def __init__(self, handle: Handle, n_atoms: int) -> None:
        self._handle, self._n_atoms = handle, n_atoms

    def __len__(self) -> int:
        return _ffi.batch_size(self._handle)

    def sample(self, i: int) -> Sample:
        info = _ffi.SampleInfo()
        call("marsfm_batch_sample", self._handle.pointer, i, c.byref(info))
        reasons = _names(info.rejected_reasons | info.repair_reasons, SAMPLE_REASONS)
        return Sample(info.parent, info.depth, info.id, SAMPLE[info.status], reasons,
                      info.closest_contact_nm, info.idealised_nm)

    def positions_nm(self, i: int) -> NDArray[np.float64]:
        """Positions of sample i in the order of the topology."""
        room, array = _xyz(np.empty((self._n_atoms, 3)))
        call("marsfm_batch_positions", self._handle.pointer, i, c.byref(room))
        return array

    def judge(self, i: int, positions_nm: ArrayLike, energies: _ffi.Minimised,
              ensemble: Sequence[_ffi.Minimised] = ()) -> SeedVerdict:
        """Whether sample i, minimised to these positions, may start MD: marsfm_batch_judge."""
        xyz, _keep = _xyz(positions_nm)
        array = (_ffi.Minimised * max(len(ensemble), 1))(*ensemble)
        seed = _ffi.SeedInfo()
        call("marsfm_batch_judge", self._handle.pointer, i, c.byref(xyz), c.byref(energies),
             c.cast(array, c.c_void_p), len(ensemble), c.byref(seed))
        return SeedVerdict(VERDICT[seed.status], _names(seed.reasons, SEED_REASONS), seed.rms_nm,
                           seed.max_torsion_degrees)

    def domain_message(self) -> str:
        """How the request differs from what the model was trained on; empty: in nothing known."""
        return _ffi.text("marsfm_batch_domain_message", self._handle)

    def write(self, path: str | os.PathLike) -> None:
        """Writes all samples that are not rejected, in the format of the extension."""
        call("marsfm_batch_write", self._handle.pointer, None, 0, os.fsencode(path))


@dataclass(frozen=True)
class Tree:
    """The shape of a tree of jumps: ``roots`` children of the start, ``branching`` of every accepted
    later sample, ``depth`` levels, at most ``budget`` draws."""

    roots: int
    branching: int = 1
    depth: int = 1
    budget: int = 1000
    retries: int = 0

    def _record(self) -> _ffi.TreeOptions:
        return _ffi.TreeOptions(roots=self.roots, branching=self.branching, depth=self.depth,
                                budget=self.budget, retries=self.retries)


class Job:
    """A request that a thread of the library works on. Dropping it cancels it."""

    def __init__(self, handle: Handle, n_atoms: int) -> None:
        self._handle, self._n_atoms = handle, n_atoms

    def poll(self, timeout_s: float = 0.0) -> Batch | None:
        """The batch, or None if it is not there within the time."""
        try:
            handle = Handle("batch", lambda out: call(
                "marsfm_job_poll", self._handle.pointer, int(1000 * timeout_s), out))
        except _ffi.MarsfmError as error:
            if error.status == "MARSFM_ERROR_PENDING":
                return None
            raise
        return Batch(handle, self._n_atoms)

    def wait(self) -> Batch:
        """The batch, as soon as it is there."""
        while (batch := self.poll(1.0)) is None:
            pass
        return batch

    def progress(self) -> tuple[int, int]:
        """Draws done, and the most that will be done."""
        done, budget = c.c_uint64(), c.c_uint64()
        call("marsfm_job_progress", self._handle.pointer, c.byref(done), c.byref(budget))
        return done.value, budget.value

    def cancel(self) -> None:
        """Asks the thread to stop; :meth:`poll` then raises MARSFM_ERROR_STOPPED."""
        call("marsfm_job_cancel", self._handle.pointer)


class Session:
    """A model bound to a topology; one thread at a time. ``temperature_kelvin`` is that of the
    caller's system: a model that takes a temperature draws at it. ``as_drawn`` leaves the chains of
    accepted samples open where the network left them open."""

    def __init__(self, model: Model, topology: Topology,
                 temperature_kelvin: float | None = None, as_drawn: bool = False) -> None:
        options = _ffi.SessionOptions(temperature_kelvin=temperature_kelvin or 0.0,
                                      as_drawn=int(as_drawn))
        self._n_atoms = topology.n_atoms
        self._handle = Handle("session", lambda out: call(
            "marsfm_session_new", model._handle.pointer, topology._handle.pointer,
            c.byref(options), out))

    def jump(self, positions_nm: ArrayLike, n: int, rng_seed: int,
             box_nm: ArrayLike | None = None) -> Batch:
        """Draws n conformations that the molecule could have one lag time later."""
        return self._drawn("marsfm_session_jump", positions_nm, box_nm, n, rng_seed)

    def tree(self, positions_nm: ArrayLike, shape: Tree, rng_seed: int,
             box_nm: ArrayLike | None = None) -> Batch:
        """Grows a tree of jumps; samples tell parent and depth."""
        return self._drawn("marsfm_session_tree", positions_nm, box_nm, c.byref(shape._record()),
                           rng_seed)

    def submit(self, positions_nm: ArrayLike, n: int, rng_seed: int,
               box_nm: ArrayLike | None = None) -> Job:
        """The jumps of :meth:`jump` on a thread of the library; positions are copied."""
        return self._submitted("marsfm_session_submit", positions_nm, box_nm, n, rng_seed)

    def submit_tree(self, positions_nm: ArrayLike, shape: Tree, rng_seed: int,
                    box_nm: ArrayLike | None = None) -> Job:
        """The tree of :meth:`tree` on a thread of the library; positions are copied."""
        return self._submitted("marsfm_session_submit_tree", positions_nm, box_nm,
                               c.byref(shape._record()), rng_seed)

    def _drawn(self, name: str, positions_nm: ArrayLike, box_nm: ArrayLike | None,
               *what: object) -> Batch:
        (xyz, _keep), (box, _also) = _xyz(positions_nm), _box(box_nm)
        handle = Handle("batch", lambda out: call(
            name, self._handle.pointer, c.byref(xyz), box, *what, out))
        return Batch(handle, self._n_atoms)

    def _submitted(self, name: str, positions_nm: ArrayLike, box_nm: ArrayLike | None,
                   *what: object) -> Job:
        (xyz, _keep), (box, _also) = _xyz(positions_nm), _box(box_nm)
        handle = Handle("job", lambda out: call(
            name, self._handle.pointer, c.byref(xyz), box, *what, out))
        return Job(handle, self._n_atoms)
