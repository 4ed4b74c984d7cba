"""The jump force of plugins/openmm-force: jumps inside OpenMM's own step loop, without Python.

``load(path)`` loads the library into OpenMM once per process; ``attach(system, topology, ...)`` adds
the force to a System before its Context is made; ``report(system)`` tells what came of its jumps.
The library serves one minor version of OpenMM: ``load`` raises for any other.

MD with jumps in between does not satisfy detailed balance: see ``marsfm.openmm``.
"""

from __future__ import annotations

import ctypes as c
import os

import openmm

from . import _ffi
from .openmm import _topology
from .session import records


class _Options(_ffi.Record):
    _fields_ = _ffi._record(
        ("interval_steps", c.c_int64), ("temperature_kelvin", c.c_double), ("draws", c.c_int64),
        ("rng_seed", c.c_int64), ("model_path", c.c_char_p))


class Report(_ffi.Record):
    """``due``: times that a jump was due, ``jumped``: times that the molecule jumped, ``refused``:
    samples that were not good enough, ``last_step``: step of the last jump or -1."""

    _fields_ = _ffi._record(("due", c.c_uint64), ("jumped", c.c_uint64), ("refused", c.c_uint64),
                            ("last_step", c.c_int64))


_loaded: c.CDLL | None = None


def load(path: str | os.PathLike) -> None:
    """Loads libOpenMMMarsfm.so into OpenMM and into Python."""
    global _loaded
    openmm.Platform.loadPluginLibrary(os.fspath(path))
    _loaded = c.CDLL(os.fspath(path))
    _loaded.marsfm_openmm_attach.argtypes = [
        c.c_void_p, c.c_void_p, c.c_size_t, c.POINTER(_Options), c.c_char_p, c.c_size_t]
    _loaded.marsfm_openmm_report.argtypes = [c.c_void_p, c.POINTER(Report)]


def _library() -> c.CDLL:
    if _loaded is None:
        raise RuntimeError("call marsfm.force.load(path of libOpenMMMarsfm.so) first")
    return _loaded


def attach(system: openmm.System, topology: openmm.app.Topology, interval_steps: int,
           temperature_kelvin: float, draws: int = 8, rng_seed: int = 1,
           model: str | os.PathLike | None = None) -> None:
    """Adds a jump force to a System; make the Context after that."""
    atoms = _topology(topology).atoms
    options = _Options(interval_steps=interval_steps, temperature_kelvin=temperature_kelvin,
                       draws=draws, rng_seed=rng_seed,
                       model_path=None if model is None else os.fsencode(model))
    message = c.create_string_buffer(2048)
    status = _library().marsfm_openmm_attach(
        int(system.this), c.cast(records(atoms), c.c_void_p), len(atoms), c.byref(options),
        message, len(message))
    if status:
        raise ValueError(message.value.decode(errors="replace"))


def report(system: openmm.System) -> Report:
    """What has come of the jumps of a System's force so far."""
    made = Report()
    if _library().marsfm_openmm_report(int(system.this), c.byref(made)):
        raise ValueError("the System has no jump force")
    return made
