"""The library, its structs and functions, as include/marsfm.h declares them."""

from __future__ import annotations

import ctypes as c
import os
from pathlib import Path
from typing import Any, Callable

ABI = (0, 4)


class MarsfmError(RuntimeError):
    """A failed call; ``status`` is the name of its code, such as ``MARSFM_ERROR_TOPOLOGY``."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def _find() -> str:
    named = os.environ.get("MARSFM_LIBRARY")
    return named or str(Path(__file__).parent / "native/lib/libmarsfm.so")


class Record(c.Structure):
    """A struct whose first field is its size."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.struct_size = c.sizeof(self)


def _record(*fields: tuple[str, Any]) -> list[tuple[str, Any]]:
    return [("struct_size", c.c_size_t), *fields]


class AtomRecord(Record):
    _fields_ = _record(
        ("name", c.c_char_p), ("element", c.c_char_p), ("residue_name", c.c_char_p),
        ("chain", c.c_char_p), ("insertion", c.c_char_p), ("residue_number", c.c_int32),
        ("reserved", c.c_int32))


class TopologyInfo(Record):
    _fields_ = _record(("n_atoms", c.c_uint64), ("n_residues", c.c_uint64))


class ModelInfo(Record):
    _fields_ = _record(("lag_ps", c.c_double), ("temperature_kelvin", c.c_double),
                       ("min_residues", c.c_uint64), ("max_residues", c.c_uint64),
                       ("takes_temperature", c.c_uint32), ("reserved", c.c_uint32),
                       ("min_temperature_kelvin", c.c_double),
                       ("max_temperature_kelvin", c.c_double))


class SessionOptions(Record):
    _fields_ = _record(
        ("temperature_kelvin", c.c_double), ("force_field", c.c_char_p), ("solvent", c.c_char_p),
        ("solver", c.c_int32), ("solver_steps", c.c_uint32), ("solver_tolerance", c.c_double),
        ("as_drawn", c.c_uint32), ("reserved", c.c_uint32))


class Xyz(Record):
    """marsfm_xyz_in_t and marsfm_xyz_out_t, which have the same layout."""

    _fields_ = _record(("data_nm", c.c_void_p), ("n_atoms", c.c_size_t),
                       ("stride_bytes", c.c_size_t), ("dtype", c.c_int32), ("reserved", c.c_int32))


class SampleInfo(Record):
    _fields_ = _record(
        ("parent", c.c_int64), ("depth", c.c_uint64), ("id", c.c_uint64), ("status", c.c_int32),
        ("rejected_reasons", c.c_uint32), ("repair_reasons", c.c_uint32),
        ("tight_contacts", c.c_uint32), ("worst_peptide_bond_nm", c.c_double),
        ("closest_contact_nm", c.c_double), ("n_bystanders", c.c_uint64),
        ("idealised_nm", c.c_double))


class TreeOptions(Record):
    _fields_ = _record(
        ("roots", c.c_uint64), ("branching", c.c_uint64), ("depth", c.c_uint64),
        ("budget", c.c_uint64), ("retries", c.c_uint64), ("progress", c.c_void_p),
        ("user_data", c.c_void_p))


class TrajectoryInfo(Record):
    _fields_ = _record(("n_seen", c.c_uint64), ("n_kept", c.c_uint64), ("n_atoms", c.c_uint64),
                       ("frame_ps", c.c_double))


class MsmOptions(Record):
    _fields_ = _record(
        ("frame_ps", c.c_double), ("tica_lag_ps", c.c_double), ("msm_lag_ps", c.c_double),
        ("pair_lag_ps", c.c_double), ("n_microstates", c.c_uint64), ("n_macrostates", c.c_uint64),
        ("rng_seed", c.c_uint64), ("features", c.c_char_p), ("feature_plugin", c.c_char_p))


class MsmInfo(Record):
    _fields_ = _record(
        ("n_atoms", c.c_uint64), ("n_frames", c.c_uint64), ("n_microstates", c.c_uint64),
        ("n_macrostates", c.c_uint64), ("frame_ps", c.c_double), ("msm_lag_ps", c.c_double),
        ("pair_lag_ps", c.c_double), ("n_features", c.c_uint64))


class MsmDrift(Record):
    _fields_ = _record(
        ("frames_before", c.c_uint64), ("frames_added", c.c_uint64),
        ("newly_connected", c.c_uint64), ("distance_ratio", c.c_double),
        ("population_distance", c.c_double), ("centres_outgrown", c.c_int32),
        ("reserved", c.c_int32))


class Minimised(Record):
    _fields_ = _record(
        ("before_kj_mol", c.c_double), ("restrained_kj_mol", c.c_double),
        ("after_kj_mol", c.c_double), ("max_force_kj_mol_nm", c.c_double))


class SeedInfo(Record):
    _fields_ = _record(("status", c.c_int32), ("reasons", c.c_uint32), ("rms_nm", c.c_double),
                       ("max_torsion_degrees", c.c_double))


LoopProgress = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_char_p, c.c_uint64, c.c_uint64, c.c_double)

_library = c.CDLL(_find())
_P, _S, _U64 = c.c_void_p, c.c_size_t, c.c_uint64
_SIGNATURES: dict[str, list[Any]] = {
    "marsfm_check_abi": [c.c_uint32, c.c_uint32],
    "marsfm_last_error_message": [c.c_char_p, _S, c.POINTER(_S)],
    "marsfm_topology_new_from_atoms": [_P, _S, c.POINTER(_P)],
    "marsfm_topology_new_from_file": [c.c_char_p, c.POINTER(_P)],
    "marsfm_topology_info": [_P, c.POINTER(TopologyInfo)],
    "marsfm_topology_sequence": [_P, c.c_char_p, _S, c.POINTER(_S)],
    "marsfm_model_load": [c.c_char_p, _P, c.POINTER(_P)],
    "marsfm_model_info": [_P, c.POINTER(ModelInfo)],
    "marsfm_session_new": [_P, _P, c.POINTER(SessionOptions), c.POINTER(_P)],
    "marsfm_session_jump": [_P, c.POINTER(Xyz), _P, _S, _U64, c.POINTER(_P)],
    "marsfm_session_tree": [_P, c.POINTER(Xyz), _P, c.POINTER(TreeOptions), _U64, c.POINTER(_P)],
    "marsfm_session_submit": [_P, c.POINTER(Xyz), _P, _S, _U64, c.POINTER(_P)],
    "marsfm_session_submit_tree": [_P, c.POINTER(Xyz), _P, c.POINTER(TreeOptions), _U64,
                                   c.POINTER(_P)],
    "marsfm_job_poll": [_P, c.c_uint32, c.POINTER(_P)],
    "marsfm_job_progress": [_P, c.POINTER(_U64), c.POINTER(_U64)],
    "marsfm_job_cancel": [_P],
    "marsfm_trajectory_new": [_P, c.c_char_p, c.c_double, c.c_double, c.POINTER(_P)],
    "marsfm_trajectory_read": [_P, c.c_char_p, c.c_double, c.c_double, c.POINTER(_P)],
    "marsfm_trajectory_append": [_P, c.POINTER(Xyz), _P],
    "marsfm_trajectory_info": [_P, c.POINTER(TrajectoryInfo)],
    "marsfm_msm_build_from_trajectories": [_P, _S, c.POINTER(MsmOptions), c.POINTER(_P)],
    "marsfm_msm_build_from_rows": [c.POINTER(_P), c.POINTER(_S), _S, _S, c.POINTER(MsmOptions),
                                   c.POINTER(_P)],
    "marsfm_msm_assign_rows": [_P, _P, _S, _S, c.POINTER(c.c_int32), c.POINTER(c.c_int32)],
    "marsfm_msm_update": [_P, _P, _S, c.POINTER(MsmDrift), c.POINTER(_P)],
    "marsfm_msm_save": [_P, c.c_char_p],
    "marsfm_msm_load": [c.c_char_p, _P, c.POINTER(Xyz), _P, c.POINTER(_P)],
    "marsfm_msm_info": [_P, c.POINTER(MsmInfo)],
    "marsfm_msm_assign": [_P, c.POINTER(Xyz), _P, c.POINTER(c.c_int32), c.POINTER(c.c_int32)],
    "marsfm_msm_transition_matrix": [_P, _P, _S, c.POINTER(_S)],
    "marsfm_msm_stationary": [_P, _P, _S, c.POINTER(_S)],
    "marsfm_msm_timescales": [_P, _P, _S, c.POINTER(_S)],
    "marsfm_msm_populations": [_P, c.c_int32, _P, _S, c.POINTER(_S)],
    "marsfm_msm_warnings": [_P, c.c_char_p, _S, c.POINTER(_S)],
    "marsfm_loop_begin": [c.c_char_p, c.c_char_p],
    "marsfm_loop_run": [c.c_char_p, _U64, c.c_double, LoopProgress, _P, c.POINTER(c.c_int32)],
    "marsfm_loop_status": [c.c_char_p, c.c_char_p, _S, c.POINTER(_S)],
    "marsfm_loop_import": [c.c_char_p, c.POINTER(c.c_char_p), _S, c.c_char_p, c.c_double,
                           c.c_double],
    "marsfm_loop_report": [c.POINTER(c.c_char_p), _S, c.c_char_p],
    "marsfm_batch_sample": [_P, _S, c.POINTER(SampleInfo)],
    "marsfm_batch_positions": [_P, _S, c.POINTER(Xyz)],
    "marsfm_batch_domain_message": [_P, c.c_char_p, _S, c.POINTER(_S)],
    "marsfm_batch_write": [_P, _P, _S, c.c_char_p],
    "marsfm_batch_judge": [_P, _S, c.POINTER(Xyz), c.POINTER(Minimised), _P, _S,
                           c.POINTER(SeedInfo)],
}
for _name, _arguments in _SIGNATURES.items():
    getattr(_library, _name).argtypes = _arguments
for _kind in ("topology", "model", "session", "batch", "job", "trajectory", "msm"):
    _free = getattr(_library, f"marsfm_{_kind}_free")
    _free.argtypes, _free.restype = [_P], None
_library.marsfm_batch_size.argtypes, _library.marsfm_batch_size.restype = [_P], _S
_library.marsfm_version.restype = _library.marsfm_status_name.restype = c.c_char_p


def call(name: str, *arguments: Any) -> None:
    """Calls a function that returns a status."""
    status = getattr(_library, name)(*arguments)
    if status:
        text = c.create_string_buffer(4096)
        _library.marsfm_last_error_message(text, len(text), None)
        code = _library.marsfm_status_name(status).decode()
        raise MarsfmError(code, text.value.decode(errors="replace") or "no message")


def text(name: str, of: Any) -> str:
    """A text that is asked for its size first, of a handle or a path."""
    first = of.pointer if isinstance(of, Handle) else of
    needed = c.c_size_t()
    call(name, first, None, 0, c.byref(needed))
    buffer = c.create_string_buffer(needed.value)
    call(name, first, buffer, needed.value, None)
    return buffer.value.decode()


def version() -> str:
    """Version of the library."""
    return _library.marsfm_version().decode()


class Handle:
    """Owns a handle of the library."""

    def __init__(self, kind: str, make: Callable[[Any], None]) -> None:
        self.pointer, self._free = c.c_void_p(), getattr(_library, f"marsfm_{kind}_free")
        make(c.byref(self.pointer))

    def __del__(self) -> None:
        if getattr(self, "pointer", None):
            self._free(self.pointer)
            self.pointer = c.c_void_p()


def batch_size(handle: Handle) -> int:
    return int(_library.marsfm_batch_size(handle.pointer))


call("marsfm_check_abi", *ABI)
