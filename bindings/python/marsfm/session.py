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
    """Origin and verdict of one sample; ``status``: accepted, needs repair or rejected."""

    parent: int
    depth: int
    id: int
    status: str
    reasons: list[str]
    closest_contact_nm: float


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


class Topology:
    """Names and order of the caller's atoms."""

    def __init__(self, atoms: Iterable[Atom]) -> None:
        rows = list(atoms)
        array = (_ffi.AtomRecord * max(len(rows), 1))()
        for record, atom in zip(array, rows):
            record.struct_size = c.sizeof(_ffi.AtomRecord)
            record.residue_number = atom.residue_number
            for field in ("name", "residue_name", "element", "chain", "insertion"):
                setattr(record, field, getattr(atom, field).encode())
        self._handle = Handle("topology", lambda out: call(
            "marsfm_topology_new_from_atoms", c.cast(array, c.c_void_p), len(rows), out))

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> Topology:
        """The atoms of a structure file (PDB, mmCIF and what the plugins read)."""
        made = cls.__new__(cls)
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
                      info.closest_contact_nm)

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


class Session:
    """A model bound to a topology; one thread at a time."""

    def __init__(self, model: Model, topology: Topology,
                 temperature_kelvin: float | None = None) -> None:
        options = _ffi.SessionOptions(temperature_kelvin=temperature_kelvin or 0.0)
        self._n_atoms = topology.n_atoms
        self._handle = Handle("session", lambda out: call(
            "marsfm_session_new", model._handle.pointer, topology._handle.pointer,
            c.byref(options), out))

    def jump(self, positions_nm: ArrayLike, n: int, rng_seed: int,
             box_nm: ArrayLike | None = None) -> Batch:
        """Draws n conformations that the molecule could have one lag time later."""
        xyz, _keep = _xyz(positions_nm)
        box = None
        if box_nm is not None:
            cell = np.ascontiguousarray(box_nm, dtype=np.float64)
            if cell.shape != (3, 3):
                raise ValueError(f"box has the shape {cell.shape}; (3, 3) is needed")
            box = cell.ctypes.data
        handle = Handle("batch", lambda out: call(
            "marsfm_session_jump", self._handle.pointer, c.byref(xyz), box, n, rng_seed, out))
        return Batch(handle, self._n_atoms)
