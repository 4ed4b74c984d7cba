/* The contract between marsfm and its plugins, for C and C++.
 *
 * A plugin is a shared library that exports one symbol, marsfm_plugin_entry (declared at the
 * end), which returns its entry. The host asks the entry for services by id. plugins/template-c
 * is the smallest complete plugin.
 *
 * Rules: every struct begins with its size, set by whoever makes it, and later versions grow
 * only at the end. A function slot may be NULL: then it is not offered. Functions return a
 * status, MARSFM_PLUGIN_OK or another; on failure they leave their outputs as they were. No
 * exception may leave a function. Arguments are borrowed for the call. Lengths are nm, times ps.
 * Thread tags: [any thread] or the one thread at a time that uses a handle.
 *
 * Made by cbindgen from core/plugin-api/src/abi.rs, engine_abi.rs,
 * backend_abi.rs and proposer_abi.rs:
 * MARSFM_BLESS=1 cargo test --release -p marsfm-plugin-api */

#ifndef MARSFM_PLUGIN_H
#define MARSFM_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/** Id of a service: reads and writes trajectories and topologies. */
#define MARSFM_PLUGIN_TRAJECTORY_1 "marsfm.trajectory/1"

/** Id of a service: computes one row of features per frame. */
#define MARSFM_PLUGIN_FEATURIZER_1 "marsfm.featurizer/1"

/** Id of a service: runs MD; since ABI 1.1. */
#define MARSFM_PLUGIN_ENGINE_1 "marsfm.engine/1"

/** Id of a service: proposes starts of MD; since ABI 1.3. */
#define MARSFM_PLUGIN_PROPOSER_1 "marsfm.proposer/1"

/** Id of a service: computes surrogates; since ABI 1.2. */
#define MARSFM_PLUGIN_BACKEND_1 "marsfm.backend/1"

/** An opened trajectory, opaque. One thread at a time. */
typedef struct marsfm_plugin_reader_t marsfm_plugin_reader_t;

/** A trajectory being written, opaque. One thread at a time. */
typedef struct marsfm_plugin_writer_t marsfm_plugin_writer_t;

/** A featurizer bound to a topology, opaque. One thread at a time. */
typedef struct marsfm_plugin_featurizer_t marsfm_plugin_featurizer_t;

/** An engine bound to a system, opaque. One thread at a time, except for `cancel`. */
typedef struct marsfm_plugin_engine_t marsfm_plugin_engine_t;

/** A checkpoint on a device, opaque. One thread at a time. */
typedef struct marsfm_plugin_model_t marsfm_plugin_model_t;

/** A proposer bound to a topology, opaque. One thread at a time. */
typedef struct marsfm_plugin_proposer_t marsfm_plugin_proposer_t;

/**
 * Major version of the plugin ABI: host and plugin must agree exactly.
 */
#define MARSFM_PLUGIN_ABI_MAJOR 1

/**
 * Minor version of the plugin ABI: a plugin may be older than the host, not newer.
 */
#define MARSFM_PLUGIN_ABI_MINOR 4

/**
 * Success.
 */
#define MARSFM_PLUGIN_OK 0

/**
 * No more frames: not an error.
 */
#define MARSFM_PLUGIN_END 1

/**
 * An argument is unusable (NULL, wrong size, not finite).
 */
#define MARSFM_PLUGIN_INVALID 2

/**
 * The file could not be opened, read or written.
 */
#define MARSFM_PLUGIN_IO 3

/**
 * The file is damaged, cut off, or not of this format.
 */
#define MARSFM_PLUGIN_FORMAT 4

/**
 * The plugin does not offer this.
 */
#define MARSFM_PLUGIN_UNSUPPORTED 5

/**
 * Number of atoms differs from what was expected.
 */
#define MARSFM_PLUGIN_MISMATCH 6

/**
 * The plugin failed in a way that it did not foresee (a caught panic or exception).
 */
#define MARSFM_PLUGIN_PANIC 7

/**
 * `marsfm_plugin_format_t::flags`: frames can be read.
 */
#define MARSFM_PLUGIN_READS_FRAMES 1

/**
 * `marsfm_plugin_format_t::flags`: frames can be written.
 */
#define MARSFM_PLUGIN_WRITES_FRAMES 2

/**
 * `marsfm_plugin_format_t::flags`: the file names its atoms (a topology can be read).
 */
#define MARSFM_PLUGIN_HAS_TOPOLOGY 4

/**
 * `marsfm_plugin_frame_t::flags`: `cell_nm` is filled.
 */
#define MARSFM_PLUGIN_HAS_CELL 1

/**
 * `marsfm_plugin_frame_t::flags`: `time_ps` is filled.
 */
#define MARSFM_PLUGIN_HAS_TIME 2

/**
 * `marsfm_plugin_frame_t::flags`: `time_ps` is known to be ps of simulated time. Not set for
 * formats whose unit of time depends on the writing program (DCD).
 */
#define MARSFM_PLUGIN_TIME_IS_TRUSTED 4

/**
 * The engine (library, program) was not found. The text says what to install or set.
 */
#define MARSFM_PLUGIN_ENGINE_MISSING 8

/**
 * The engine was found, but its version is not supported. The text names both.
 */
#define MARSFM_PLUGIN_ENGINE_VERSION 9

/**
 * Positions, velocities or the energy are no longer finite, or constraints failed: the seed is
 * lost, the engine can take the next one.
 */
#define MARSFM_PLUGIN_DIVERGED 10

/**
 * Stopped by `cancel` or by a progress callback.
 */
#define MARSFM_PLUGIN_CANCELLED 11

/**
 * The engine gave no sign of life for too long.
 */
#define MARSFM_PLUGIN_TIMEOUT 12

/**
 * The engine's process ended by a signal or without a result.
 */
#define MARSFM_PLUGIN_KILLED 13

/**
 * No room is left on the device.
 */
#define MARSFM_PLUGIN_DISK_FULL 14

/**
 * Another thread is using this handle.
 */
#define MARSFM_PLUGIN_BUSY 15

/**
 * The engine failed in a way of its own; the text is the engine's.
 */
#define MARSFM_PLUGIN_ENGINE_FAILED 16

/**
 * `marsfm_plugin_positions_t::flags`: `cell_nm` is filled.
 */
#define MARSFM_PLUGIN_POSITIONS_HAVE_CELL 1

/**
 * `marsfm_plugin_engine_info_t::flags`: the system holds explicit solvent.
 */
#define MARSFM_PLUGIN_ENGINE_SOLVATED 1

/**
 * `marsfm_plugin_engine_info_t::flags`: the system is periodic.
 */
#define MARSFM_PLUGIN_ENGINE_PERIODIC 2

/**
 * The device asked for is not there, or cannot be used. The text says why.
 */
#define MARSFM_PLUGIN_DEVICE_MISSING 17

/**
 * The device has not enough memory for this call; a smaller one may do.
 */
#define MARSFM_PLUGIN_DEVICE_MEMORY 18

/**
 * The bytes are no checkpoint that this backend can compute. The text says why.
 */
#define MARSFM_PLUGIN_MODEL 19

/**
 * Added to the index of a device: matrix products round their factors to bfloat16 and sum in
 * single precision; everything else stays single. Since ABI 1.4; a plugin of before has no device of
 * such an index.
 */
#define MARSFM_PLUGIN_DEVICE_BF16 65536

/**
 * Doubles per residue of a conformation: rotation (row-major) and translation (nm) of its frame,
 * then sine and cosine of pre-omega, phi, psi, chi1, chi2, chi3, chi4; 0, 0 where there is none.
 */
#define MARSFM_PLUGIN_RESIDUE_DOUBLES 26

/**
 * Numbers per residue and frame of the network's latents.
 */
#define MARSFM_PLUGIN_LATENT_DOUBLES 21

/**
 * `parents` of a proposal that was made from none of the request's frames.
 */
#define MARSFM_PLUGIN_NO_PARENT -1

/**
 * What the host tells a plugin about itself. Lives for the whole process.
 */
typedef struct marsfm_plugin_host_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * ABI major version of the host.
   */
  uint32_t abi_major;
  /**
   * ABI minor version of the host.
   */
  uint32_t abi_minor;
  /**
   * Name and version of the host, for messages.
   */
  const char *version;
} marsfm_plugin_host_t;

/**
 * A plugin as a whole. Lives for the whole process. The one exported symbol is
 * `const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host)`; it is
 * fast, touches no file, and returns NULL to refuse. [any thread]
 */
typedef struct marsfm_plugin_entry_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * ABI major version that the plugin was built for.
   */
  uint32_t abi_major;
  /**
   * ABI minor version that the plugin was built for.
   */
  uint32_t abi_minor;
  /**
   * Short name of the plugin, unique among plugins (`xtc`).
   */
  const char *name;
  /**
   * Version of the plugin.
   */
  const char *version;
  /**
   * Returns the table of a service by its id, or NULL if there is none. [any thread]
   */
  const void *(*get_service)(const char *id);
  /**
   * Copies the text of the last failure on this thread, NUL-terminated and cut to `capacity`
   * bytes, and returns its whole length with the NUL. `capacity` 0 only asks. [any thread]
   */
  size_t (*last_error)(char *buffer, size_t capacity);
} marsfm_plugin_entry_t;

/**
 * One file format of a trajectory service. Lives for the whole process.
 */
typedef struct marsfm_plugin_format_t {
  /**
   * Size of this struct, bytes; also the step from one element to the next.
   */
  size_t struct_size;
  /**
   * Name for people (`GROMACS XTC`).
   */
  const char *name;
  /**
   * Extensions in lower case without dots, separated by commas (`nc,ncdf`).
   */
  const char *extensions;
  /**
   * Sum of `MARSFM_PLUGIN_READS_FRAMES` and its sisters.
   */
  uint32_t flags;
  /**
   * Higher is preferred where two plugins know an extension; 0 is ordinary.
   */
  int32_t priority;
} marsfm_plugin_format_t;

/**
 * One atom. Strings are borrowed for the call; none is NULL, an unknown one is empty.
 */
typedef struct marsfm_plugin_atom_t {
  /**
   * Size of this struct, bytes; also the step from one element to the next.
   */
  size_t struct_size;
  /**
   * Atom name (`CA`).
   */
  const char *name;
  /**
   * Element symbol (`C`), or empty.
   */
  const char *element;
  /**
   * Residue name (`ALA`).
   */
  const char *residue_name;
  /**
   * Insertion code, or empty.
   */
  const char *insertion;
  /**
   * Chain identifier, or empty.
   */
  const char *chain;
  /**
   * Residue number as in the file.
   */
  int32_t residue_number;
  /**
   * Zero.
   */
  int32_t reserved;
} marsfm_plugin_atom_t;

/**
 * Atoms in file order. Borrowed for the call.
 */
typedef struct marsfm_plugin_topology_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Number of atoms.
   */
  size_t n_atoms;
  /**
   * The atoms; element i is `atoms->struct_size * i` bytes after the first.
   */
  const struct marsfm_plugin_atom_t *atoms;
} marsfm_plugin_topology_t;

/**
 * One frame in memory of the caller.
 */
typedef struct marsfm_plugin_frame_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Number of atoms that `xyz_nm` has room for; reading fails if it is not the file's.
   */
  size_t n_atoms;
  /**
   * 3 * `n_atoms` floats, nm: x, y, z of atom 0, then of atom 1, without gaps. Written by
   * `read_frame`; never written by a function that takes a const frame.
   */
  float *xyz_nm;
  /**
   * Cell vectors a, b, c, nm; valid with `MARSFM_PLUGIN_HAS_CELL`.
   */
  float cell_nm[9];
  /**
   * Sum of `MARSFM_PLUGIN_HAS_CELL` and its sisters.
   */
  uint32_t flags;
  /**
   * Time, ps; valid with `MARSFM_PLUGIN_HAS_TIME`.
   */
  double time_ps;
} marsfm_plugin_frame_t;

/**
 * What an opened trajectory holds.
 */
typedef struct marsfm_plugin_reader_info_t {
  /**
   * Size of this struct, bytes (set by the caller).
   */
  size_t struct_size;
  /**
   * Atoms per frame.
   */
  uint64_t n_atoms;
  /**
   * Number of frames, or -1 if it is not known without reading all.
   */
  int64_t n_frames;
} marsfm_plugin_reader_info_t;

/**
 * Where `read_topology` puts what it reads. Its functions run on the calling thread, must not
 * call the plugin, and return a status: anything but OK ends the reading with that status.
 */
typedef struct marsfm_plugin_topology_sink_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Passed back as the first argument.
   */
  void *user_data;
  /**
   * Takes the next atom, in file order.
   */
  int32_t (*atom)(void *user_data, const struct marsfm_plugin_atom_t *atom);
  /**
   * Takes the coordinates, once, after all atoms; not called if the file has none.
   */
  int32_t (*coordinates)(void *user_data, const struct marsfm_plugin_frame_t *frame);
  /**
   * Takes a remark for the user: what was left out or decided.
   */
  int32_t (*note)(void *user_data, const char *text);
} marsfm_plugin_topology_sink_t;

/**
 * Service `marsfm.trajectory/1`. Lives for the whole process. On failure a function leaves its
 * outputs as they were, and `marsfm_plugin_entry_t::last_error` says what, where, and what to do.
 */
typedef struct marsfm_plugin_trajectory_service_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Number of formats.
   */
  size_t n_formats;
  /**
   * The formats; element i is `formats->struct_size * i` bytes after the first.
   */
  const struct marsfm_plugin_format_t *formats;
  /**
   * Reads atoms, and coordinates if there are any, into `sink`. [any thread]
   */
  int32_t (*read_topology)(const char *path, const struct marsfm_plugin_topology_sink_t *sink);
  /**
   * Opens a trajectory for reading, at its first frame. [any thread]
   */
  int32_t (*open_reader)(const char *path, marsfm_plugin_reader_t **reader);
  /**
   * Tells the number of atoms and frames. [thread of the reader]
   */
  int32_t (*reader_info)(marsfm_plugin_reader_t *reader, struct marsfm_plugin_reader_info_t *info);
  /**
   * Reads the next frame into the caller's memory; `MARSFM_PLUGIN_END` after the last.
   * [thread of the reader]
   */
  int32_t (*read_frame)(marsfm_plugin_reader_t *reader, struct marsfm_plugin_frame_t *frame);
  /**
   * The next `read_frame` gives frame `index` (from 0). [thread of the reader]
   */
  int32_t (*seek)(marsfm_plugin_reader_t *reader, uint64_t index);
  /**
   * Closes and frees; NULL is fine. [thread of the reader]
   */
  void (*close_reader)(marsfm_plugin_reader_t *reader);
  /**
   * Creates a trajectory file, replacing one of that name. [any thread]
   */
  int32_t (*open_writer)(const char *path,
                         const struct marsfm_plugin_topology_t *topology,
                         marsfm_plugin_writer_t **writer);
  /**
   * Appends a frame. [thread of the writer]
   */
  int32_t (*write_frame)(marsfm_plugin_writer_t *writer, const struct marsfm_plugin_frame_t *frame);
  /**
   * Completes the file. Takes the writer: it is freed whatever is returned.
   * [thread of the writer]
   */
  int32_t (*finish)(marsfm_plugin_writer_t *writer);
  /**
   * Gives up and frees; the caller removes the file. NULL is fine. [thread of the writer]
   */
  void (*abort)(marsfm_plugin_writer_t *writer);
} marsfm_plugin_trajectory_service_t;

/**
 * Service `marsfm.featurizer/1`. Lives for the whole process.
 */
typedef struct marsfm_plugin_featurizer_service_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Short name of the features (`ring-currents`).
   */
  const char *name;
  /**
   * Binds to a topology. `options` is text for the featurizer (JSON by custom) or NULL.
   * [any thread]
   */
  int32_t (*open)(const struct marsfm_plugin_topology_t *topology,
                  const char *options,
                  marsfm_plugin_featurizer_t **featurizer);
  /**
   * Tells the length of a row. [thread of the featurizer]
   */
  int32_t (*n_features)(marsfm_plugin_featurizer_t *featurizer, size_t *count);
  /**
   * Copies the name of feature `index` as `last_error` does, and returns its whole length
   * with the NUL, or 0 if there is no such feature. [thread of the featurizer]
   */
  size_t (*feature_name)(marsfm_plugin_featurizer_t *featurizer,
                         size_t index,
                         char *buffer,
                         size_t capacity);
  /**
   * Computes one row of `n_row` floats from one frame. [thread of the featurizer]
   */
  int32_t (*compute)(marsfm_plugin_featurizer_t *featurizer,
                     const struct marsfm_plugin_frame_t *frame,
                     float *row,
                     size_t n_row);
  /**
   * Closes and frees; NULL is fine. [thread of the featurizer]
   */
  void (*close)(marsfm_plugin_featurizer_t *featurizer);
} marsfm_plugin_featurizer_service_t;

/**
 * Type of the one exported C symbol, `marsfm_plugin_entry`.
 */
typedef const struct marsfm_plugin_entry_t *(*marsfm_plugin_entry_function_t)(const struct marsfm_plugin_host_t *host);

/**
 * Positions of all atoms, in memory of the caller.
 */
typedef struct marsfm_plugin_positions_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Number of atoms; another number than the engine's is `MARSFM_PLUGIN_MISMATCH`.
   */
  size_t n_atoms;
  /**
   * 3 * `n_atoms` doubles, nm: x, y, z of atom 0, then of atom 1, without gaps. Never written
   * by a function that takes const positions.
   */
  double *xyz_nm;
  /**
   * Cell vectors a, b, c, nm; valid with `MARSFM_PLUGIN_POSITIONS_HAVE_CELL`.
   */
  double cell_nm[9];
  /**
   * `MARSFM_PLUGIN_POSITIONS_HAVE_CELL` or 0.
   */
  uint32_t flags;
  /**
   * Zero.
   */
  uint32_t reserved;
} marsfm_plugin_positions_t;

/**
 * What an opened engine runs.
 */
typedef struct marsfm_plugin_engine_info_t {
  /**
   * Size of this struct, bytes (set by the caller).
   */
  size_t struct_size;
  /**
   * Number of atoms (particles), virtual sites included.
   */
  uint64_t n_atoms;
  /**
   * Sum of `MARSFM_PLUGIN_ENGINE_SOLVATED` and its sisters.
   */
  uint32_t flags;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Length of an MD step, ps.
   */
  double step_ps;
  /**
   * Temperature of the thermostat, K.
   */
  double temperature_kelvin;
  /**
   * Friction of the thermostat, 1/ps; 0 if it has none.
   */
  double friction_per_ps;
} marsfm_plugin_engine_info_t;

/**
 * Where `read_system` puts what it knows. Its functions run on the calling thread, must not
 * call the plugin, and return a status: anything but OK ends the reading with that status.
 */
typedef struct marsfm_plugin_system_sink_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Passed back as the first argument.
   */
  void *user_data;
  /**
   * Takes the next atom, in the engine's order, with the engine's names.
   */
  int32_t (*atom)(void *user_data, const struct marsfm_plugin_atom_t *atom);
  /**
   * Takes the template's positions, once, after all atoms.
   */
  int32_t (*positions)(void *user_data, const struct marsfm_plugin_positions_t *positions);
  /**
   * Takes a bond (constrained ones too) between two atoms, after all atoms; not called for a
   * system whose bonds are not known.
   */
  int32_t (*bond)(void *user_data, uint64_t first, uint64_t second);
  /**
   * Takes a remark for the user.
   */
  int32_t (*note)(void *user_data, const char *text);
} marsfm_plugin_system_sink_t;

/**
 * Takes a text of any length.
 */
typedef struct marsfm_plugin_text_sink_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Passed back as the first argument.
   */
  void *user_data;
  /**
   * Takes the text, once, on the calling thread.
   */
  int32_t (*text)(void *user_data, const char *text);
} marsfm_plugin_text_sink_t;

/**
 * How a long call is watched. May be NULL where it is asked for.
 */
typedef struct marsfm_plugin_watch_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Passed back as the first argument.
   */
  void *user_data;
  /**
   * Told that work goes on, at least once a second as far as the engine lets its caller know,
   * on the calling thread: `done` of `total` steps, or 0 of 0. Anything but OK stops the call
   * with `MARSFM_PLUGIN_CANCELLED`.
   */
  int32_t (*progress)(void *user_data, uint64_t done, uint64_t total);
} marsfm_plugin_watch_t;

/**
 * Energy of one set of positions.
 */
typedef struct marsfm_plugin_energy_t {
  /**
   * Size of this struct, bytes (set by the caller).
   */
  size_t struct_size;
  /**
   * Potential energy, kJ/mol; may be infinite or NaN for overlapping atoms.
   */
  double potential_kj_mol;
  /**
   * Length of the largest force on an atom with mass, kJ/mol/nm; constraint forces left out.
   */
  double max_force_kj_mol_nm;
  /**
   * The atom that feels it.
   */
  uint64_t max_force_atom;
} marsfm_plugin_energy_t;

/**
 * What minimisation made of a seed. `positions` is memory of the caller with room for all atoms.
 */
typedef struct marsfm_plugin_minimised_t {
  /**
   * Size of this struct, bytes (set by the caller).
   */
  size_t struct_size;
  /**
   * Receives the minimised positions (and the cell); its `struct_size`, `n_atoms` and `xyz_nm`
   * are set by the caller.
   */
  struct marsfm_plugin_positions_t *positions;
  /**
   * Potential energy as handed in, after constraints and virtual sites, kJ/mol.
   */
  double before_kj_mol;
  /**
   * After the minimisation with restrained heavy atoms, restraints not counted, kJ/mol.
   */
  double restrained_kj_mol;
  /**
   * After the free minimisation, kJ/mol.
   */
  double after_kj_mol;
  /**
   * Largest force after it on an atom with mass, kJ/mol/nm.
   */
  double max_force_kj_mol_nm;
  /**
   * The atom that feels it.
   */
  uint64_t max_force_atom;
} marsfm_plugin_minimised_t;

/**
 * A runnable start.
 */
typedef struct marsfm_plugin_started_t {
  /**
   * Size of this struct, bytes (set by the caller).
   */
  size_t struct_size;
  /**
   * MD spent on it (strong friction, equilibration of solvent), ps. It is cost, not statistics.
   */
  double md_ps;
  /**
   * Potential energy of the start, kJ/mol.
   */
  double potential_kj_mol;
  /**
   * Kinetic temperature of the start, K.
   */
  double temperature_kelvin;
} marsfm_plugin_started_t;

/**
 * What to run.
 */
typedef struct marsfm_plugin_run_request_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Folder that `start` made its start in; the trajectory is put there too.
   */
  const char *folder;
  /**
   * Seed of the thermostat's random numbers.
   */
  uint64_t rng_seed;
  /**
   * Steps of the head: in the trajectory, not to be counted in statistics.
   */
  uint64_t head_steps;
  /**
   * Steps after the head.
   */
  uint64_t steps;
  /**
   * Steps from one frame to the next; divides `head_steps` and `steps`.
   */
  uint64_t frame_steps;
} marsfm_plugin_run_request_t;

/**
 * A finished run.
 */
typedef struct marsfm_plugin_finished_t {
  /**
   * Size of this struct, bytes (set by the caller).
   */
  size_t struct_size;
  /**
   * Name of the trajectory file in the run's folder, NUL-terminated. It appears under this
   * name only when it is whole.
   */
  char trajectory[64];
  /**
   * Frames in it. Frame k is k + 1 times `frame_ps` after the start.
   */
  uint64_t n_frames;
  /**
   * The first frames, which are the head.
   */
  uint64_t head_frames;
  /**
   * Time between frames, ps.
   */
  double frame_ps;
  /**
   * Potential energy at the end of the head, kJ/mol.
   */
  double head_kj_mol;
  /**
   * Potential energy at the end, kJ/mol.
   */
  double end_kj_mol;
  /**
   * Mean kinetic temperature over the frames after the head (over all if there is no other), K.
   */
  double temperature_kelvin;
} marsfm_plugin_finished_t;

/**
 * Where `run_together` tells what became of its runs.
 */
typedef struct marsfm_plugin_run_sink_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Passed back as the first argument.
   */
  void *user_data;
  /**
   * Takes the end of run `index` (its place among the requests), once for each and in any
   * order, on the calling thread: OK with a filled `finished`, or another status with `text`
   * and without `finished`. It must not call the plugin; anything but OK ends the call with
   * that status.
   */
  int32_t (*ended)(void *user_data,
                   uint64_t index,
                   int32_t status,
                   const struct marsfm_plugin_finished_t *finished,
                   const char *text);
} marsfm_plugin_run_sink_t;

/**
 * Service `marsfm.engine/1`. Lives for the whole process. On failure a function leaves its
 * outputs as they were and no file under a final name; `marsfm_plugin_entry_t::last_error` says
 * what, where, and what to do.
 *
 * Options are a JSON object. Common keys, each with a default of the plugin: `template` (folder
 * with the system, needed by `open`), `temperature_kelvin`, `friction_per_ps`, `step_ps`,
 * `threads`, `platform`, `precision`, `library` or `program` (where the engine is). Unknown keys
 * are refused by name.
 */
typedef struct marsfm_plugin_engine_service_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Short name of the engine (`openmm`).
   */
  const char *name;
  /**
   * Says what is here, as a JSON object: `engine` and `version` (text, version NULL if the
   * engine is missing), `usable` (boolean), `location`, `platforms` (array of objects with
   * `name`, `usable`, and `why` where it is not), `failures` (array of text: what did not
   * load), `advice` (array of text: what to install or set). A missing engine is an answer,
   * not a failure. `options` may be NULL. [any thread]
   */
  int32_t (*describe)(const char *options, const struct marsfm_plugin_text_sink_t *sink);
  /**
   * Loads the engine and the template's system. [any thread]
   */
  int32_t (*open)(const char *options, marsfm_plugin_engine_t **engine);
  /**
   * Tells what it runs. [thread of the engine]
   */
  int32_t (*info)(marsfm_plugin_engine_t *engine, struct marsfm_plugin_engine_info_t *info);
  /**
   * Gives atoms, positions, bonds and remarks. [thread of the engine]
   */
  int32_t (*read_system)(marsfm_plugin_engine_t *engine,
                         const struct marsfm_plugin_system_sink_t *sink);
  /**
   * Energy and largest force of positions taken as they are. [thread of the engine]
   */
  int32_t (*energy)(marsfm_plugin_engine_t *engine,
                    const struct marsfm_plugin_positions_t *positions,
                    struct marsfm_plugin_energy_t *energy);
  /**
   * Minimises a seed: constraints and virtual sites, then with the solute's heavy atoms
   * restrained, then free. Solvent that stands in the seed's way is placed anew, from
   * `rng_seed`; the number of atoms never changes. `folder` exists and is the seed's own.
   * [thread of the engine]
   */
  int32_t (*minimise)(marsfm_plugin_engine_t *engine,
                      const char *folder,
                      uint64_t rng_seed,
                      const struct marsfm_plugin_positions_t *seed,
                      const struct marsfm_plugin_watch_t *watch,
                      struct marsfm_plugin_minimised_t *minimised);
  /**
   * Makes a runnable start in `folder` from positions that `minimise` gave: velocities from
   * `rng_seed` at the temperature of `open`, solvent equilibrated around the restrained solute,
   * a short stretch of strong friction. [thread of the engine]
   */
  int32_t (*start)(marsfm_plugin_engine_t *engine,
                   const char *folder,
                   uint64_t rng_seed,
                   const struct marsfm_plugin_positions_t *positions,
                   const struct marsfm_plugin_watch_t *watch,
                   struct marsfm_plugin_started_t *started);
  /**
   * Runs from the start in the folder. [thread of the engine]
   */
  int32_t (*run)(marsfm_plugin_engine_t *engine,
                 const struct marsfm_plugin_run_request_t *request,
                 const struct marsfm_plugin_watch_t *watch,
                 struct marsfm_plugin_finished_t *finished);
  /**
   * Makes the call in progress on this handle, if there is one, end soon with
   * `MARSFM_PLUGIN_CANCELLED`. Later calls are not affected. [any thread, while the handle is
   * open]
   */
  void (*cancel)(marsfm_plugin_engine_t *engine);
  /**
   * Closes and frees; NULL is fine. No other call may be in progress. [thread of the engine]
   */
  void (*close)(marsfm_plugin_engine_t *engine);
  /**
   * Runs from several starts at once, in one launch. `folder` exists and is the group's own;
   * each request has its own folder, as for `run`, and gets the same files in it. A run that is
   * lost (DIVERGED, KILLED) costs only itself: its end goes to the sink, and the call is OK once
   * every run has ended. May be NULL: then runs go one after another. [thread of the engine]
   */
  int32_t (*run_together)(marsfm_plugin_engine_t *engine,
                          const char *folder,
                          const struct marsfm_plugin_run_request_t *const *requests,
                          uint64_t n_requests,
                          const struct marsfm_plugin_watch_t *watch,
                          const struct marsfm_plugin_run_sink_t *sink);
} marsfm_plugin_engine_service_t;

/**
 * What to draw: `n_children` windows from each start.
 */
typedef struct marsfm_plugin_draw_request_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Residues of the chain.
   */
  size_t n_residues;
  /**
   * Their types, 0 to 19, alphabetically by three-letter code (ALA 0, ARG 1, ... VAL 19).
   */
  const uint8_t *residue_types;
  /**
   * Number of start conformations.
   */
  size_t n_starts;
  /**
   * `n_starts * n_residues * MARSFM_PLUGIN_RESIDUE_DOUBLES` doubles.
   */
  const double *starts;
  /**
   * Windows per start.
   */
  size_t n_children;
  /**
   * Frames of a window, for surrogates that draw windows; 0: jumps, one frame per draw.
   */
  size_t n_frames;
  /**
   * Seed of the noise.
   */
  uint64_t rng_seed;
  /**
   * Stream of the first draw; draw k of start i has stream `first_id + i * n_children + k`. The
   * same stream gives the same noise whatever else is drawn.
   */
  uint64_t first_id;
  /**
   * The solver, a JSON object as in a loop's settings: `{"method": "adams", "steps": 16}`.
   */
  const char *solver;
  /**
   * Temperature, K, for a surrogate that takes one; 0: none is given. Since ABI 1.3.
   */
  double temperature_kelvin;
} marsfm_plugin_draw_request_t;

/**
 * Points on the path of P samples of equal length, in the network's numbers.
 */
typedef struct marsfm_plugin_batch_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Samples P.
   */
  size_t n_samples;
  /**
   * Frames T.
   */
  size_t n_frames;
  /**
   * Residues L.
   */
  size_t n_residues;
  /**
   * Start frames, P L 12 doubles: rotation (row-major), translation (angstrom).
   */
  const double *frames;
  /**
   * P L residue types, 0 to 20 (20: hidden).
   */
  const uint8_t *residue_types;
  /**
   * Latents of conditioned tokens, 0 elsewhere: P T L 21 doubles.
   */
  const double *x_cond;
  /**
   * 1 at conditioned tokens, else 0: P T L bytes.
   */
  const uint8_t *x_cond_mask;
  /**
   * 1 at real residues, 0 at padding: P L bytes; NULL if all are real.
   */
  const uint8_t *mask;
  /**
   * Latents: P T L 21 doubles.
   */
  const double *x;
  /**
   * Times in [0, 1]: P doubles.
   */
  const double *t;
  /**
   * Temperatures, K: P doubles, for a surrogate that takes them; NULL: none are given. Since ABI
   * 1.3.
   */
  const double *temperatures_kelvin;
} marsfm_plugin_batch_t;

/**
 * What the network should have answered at a batch, and what it is asked with.
 */
typedef struct marsfm_plugin_lesson_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Velocities to learn: P T L 21 doubles.
   */
  const double *u;
  /**
   * Weights of the loss: P T L 21 doubles.
   */
  const double *weights;
  /**
   * Number of parameters; another than the model's is `MARSFM_PLUGIN_MISMATCH`.
   */
  size_t n_parameters;
  /**
   * The parameters, in the order of their names (bytewise), each row-major.
   */
  const float *parameters;
} marsfm_plugin_lesson_t;

/**
 * Service `marsfm.backend/1`. Lives for the whole process. On failure a function leaves its
 * outputs as they were, and `marsfm_plugin_entry_t::last_error` says what and what to do.
 */
typedef struct marsfm_plugin_backend_service_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Kind of device, in lower case (`cuda`).
   */
  const char *name;
  /**
   * Says what is here, as a JSON object: `devices` (array of objects with `index`, `name`, and
   * `memory_bytes` where it is known) and `failures` (array of text: why there is none). No
   * device is an answer, not a failure. [any thread]
   */
  int32_t (*describe)(const struct marsfm_plugin_text_sink_t *sink);
  /**
   * Loads a checkpoint (the `n_bytes` bytes of the file) onto device `index`, which may have
   * `MARSFM_PLUGIN_DEVICE_BF16` added. [any thread]
   */
  int32_t (*load)(uint32_t index, const void *bytes, size_t n_bytes, marsfm_plugin_model_t **model);
  /**
   * Tells how many draws of `n_frames` frames and `n_residues` residues fill one call of `draw`
   * well. More are possible: they are cut. [thread of the model]
   */
  int32_t (*draws_per_call)(marsfm_plugin_model_t *model,
                            size_t n_residues,
                            size_t n_frames,
                            size_t *draws);
  /**
   * Draws. Takes room for `n_doubles` doubles, which has to be `n_starts * n_children *
   * max(n_frames, 1) * n_residues * MARSFM_PLUGIN_RESIDUE_DOUBLES`: all windows of start 0, then
   * of start 1, and so on. Draws are not checked; the caller must. [thread of the model]
   */
  int32_t (*draw)(marsfm_plugin_model_t *model,
                  const struct marsfm_plugin_draw_request_t *request,
                  double *conformations,
                  size_t n_doubles);
  /**
   * The network's velocity at a batch: P T L 21 doubles. [thread of the model]
   */
  int32_t (*velocity)(marsfm_plugin_model_t *model,
                      const struct marsfm_plugin_batch_t *batch,
                      double *velocity,
                      size_t n_doubles);
  /**
   * Mean loss of a batch at the lesson's parameters, and its gradient: as many floats as there
   * are parameters, in their order, 0 for one that takes no part. The optimiser is the host's.
   * [thread of the model]
   */
  int32_t (*gradients)(marsfm_plugin_model_t *model,
                       const struct marsfm_plugin_batch_t *batch,
                       const struct marsfm_plugin_lesson_t *lesson,
                       double *loss,
                       float *gradients);
  /**
   * Frees the model and its memory on the device; NULL is fine. [thread of the model]
   */
  void (*free)(marsfm_plugin_model_t *model);
} marsfm_plugin_backend_service_t;

/**
 * What proposals are asked for, and the MD that they may be made from. Borrowed for the call.
 */
typedef struct marsfm_plugin_propose_request_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Number of atoms, that of the topology; another is `MARSFM_PLUGIN_MISMATCH`.
   */
  size_t n_atoms;
  /**
   * Room for so many proposals. Fewer may be made, also none.
   */
  size_t n_wanted;
  /**
   * The only source of randomness: the same request gives the same proposals.
   */
  uint64_t rng_seed;
  /**
   * Number of the epoch, from 0.
   */
  uint64_t epoch;
  /**
   * Temperature of the MD, K.
   */
  double temperature_kelvin;
  /**
   * Number of frames to start from, at least 1.
   */
  size_t n_parents;
  /**
   * The frames, `n_parents` * `n_atoms` * 3 doubles, nm: random frames behind the heads of runs,
   * of randomly chosen microstates that MD has been in.
   */
  const double *parents_nm;
  /**
   * Frames of MD in the microstate of each parent: `n_parents` numbers.
   */
  const uint64_t *parent_counts;
} marsfm_plugin_propose_request_t;

/**
 * Service `marsfm.proposer/1`. Lives for the whole process. On failure a function leaves its
 * outputs as they were, and `marsfm_plugin_entry_t::last_error` says what and what to do.
 */
typedef struct marsfm_plugin_proposer_service_t {
  /**
   * Size of this struct, bytes.
   */
  size_t struct_size;
  /**
   * Short name of the proposer (`twist`); loops call it `plugin:twist`.
   */
  const char *name;
  /**
   * Binds to the atoms of an engine. `options` is a JSON object: the options of the loop's
   * strategy. [any thread]
   */
  int32_t (*open)(const struct marsfm_plugin_topology_t *topology,
                  const char *options,
                  marsfm_plugin_proposer_t **proposer);
  /**
   * Proposes structures: into `xyz_nm` (room for `n_wanted` * `n_atoms` * 3 doubles, nm), the
   * number of the frame that each was made from or `MARSFM_PLUGIN_NO_PARENT` into `parents`
   * (room for `n_wanted` numbers), and how many there are into `n_proposed`. All atoms have to
   * be placed; where the engine brings its own solvent, that of the parent will do. The host
   * takes nothing of an answer that holds too many, a number that is not finite, or a parent
   * that there is not. [thread of the proposer]
   */
  int32_t (*propose)(marsfm_plugin_proposer_t *proposer,
                     const struct marsfm_plugin_propose_request_t *request,
                     double *xyz_nm,
                     int64_t *parents,
                     size_t *n_proposed);
  /**
   * Closes and frees; NULL is fine. [thread of the proposer]
   */
  void (*close)(marsfm_plugin_proposer_t *proposer);
} marsfm_plugin_proposer_service_t;

#endif  /* MARSFM_PLUGIN_H */


/* The one symbol that a plugin exports. */
#if defined(__GNUC__)
#define MARSFM_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define MARSFM_PLUGIN_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Returns the plugin's entry, which lives for the whole process, or NULL to refuse this host.
 * Fast, touches no file. [any thread]
 */
MARSFM_PLUGIN_EXPORT const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host);

#ifdef __cplusplus
} /* extern "C" */
#endif
