"""The adaptive loop: MD, Markov model, jumps, seeds, again."""

from __future__ import annotations

import ctypes as c
import json
import os
from pathlib import Path
from typing import Any, Callable, Sequence

from . import _ffi
from ._ffi import MarsfmError, call

_ENDED = ("complete", "budget", "settled", "limits", "stopped")

#: Told what is being done, the epoch (from 0), of how many, and the part of all MD that is done.
Progress = Callable[[str, int, int, float], Any]


def _texts(paths: Sequence[str | os.PathLike]) -> c.Array:
    return (c.c_char_p * max(len(paths), 1))(*[os.fsencode(path) for path in paths])


class Loop:
    """A loop's folder. The process may be killed at any time; :meth:`run` goes on."""

    def __init__(self, folder: str | os.PathLike) -> None:
        """A loop that was begun before."""
        self.folder = Path(folder)
        self.status()

    @classmethod
    def begin(cls, settings: str | os.PathLike, folder: str | os.PathLike) -> Loop:
        """Begins a loop in a new folder from the TOML file that ``marsfm loop init`` takes."""
        call("marsfm_loop_begin", os.fsencode(settings), os.fsencode(folder))
        return cls(folder)

    def run(self, max_epochs: int = 0, max_seconds: float = 0.0,
            progress: Progress | None = None) -> str:
        """Runs, or goes on, and tells why it came back: ``complete``, ``budget``, ``settled``,
        ``limits`` or ``stopped``. ``progress`` may answer ``False`` to stop it; what it raises is
        raised here once the loop has stopped. 0 is no limit."""
        raised: list[BaseException] = []

        def told(_: Any, stage: bytes, epoch: int, epochs: int, done: float) -> int:
            try:
                return int(progress is not None
                           and progress(stage.decode(), epoch, epochs, done) is False)
            except BaseException as error:
                raised.append(error)
                return 1

        ended = c.c_int32()
        try:
            call("marsfm_loop_run", os.fsencode(self.folder), max_epochs, max_seconds,
                 _ffi.LoopProgress(told), None, c.byref(ended))
        except MarsfmError:
            if not raised:
                raise
        if raised:
            raise raised[0]
        return _ENDED[ended.value]

    def status(self) -> dict[str, Any]:
        """What was found so far; see ``marsfm_loop_status`` in marsfm.h."""
        return json.loads(_ffi.text("marsfm_loop_status", os.fsencode(self.folder)))

    def take(self, trajectories: Sequence[str | os.PathLike],
             topology: str | os.PathLike | None = None, head_ps: float = 0.0,
             frame_ps: float = 0.0) -> None:
        """Takes unbiased MD of the same system into the loop."""
        call("marsfm_loop_import", os.fsencode(self.folder), _texts(trajectories),
             len(trajectories), None if topology is None else os.fsencode(topology), head_ps,
             frame_ps)


def report(loops: Sequence[Loop], out: str | os.PathLike) -> Path:
    """Writes a report of loops on one system side by side, and answers its page."""
    call("marsfm_loop_report", _texts([loop.folder for loop in loops]), len(loops),
         os.fsencode(out))
    return Path(out) / "report.html"
