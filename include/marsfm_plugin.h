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
 * Made by cbindgen from core/plugin-api/src/abi.rs:
 * MARSFM_BLESS=1 cargo test --release -p marsfm-plugin-api */

#ifndef MARSFM_PLUGIN_H
#define MARSFM_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/** Id of a service: reads and writes trajectories and topologies. */
#define MARSFM_PLUGIN_TRAJECTORY_1 "marsfm.trajectory/1"

/** Id of a service: computes one row of features per frame. */
#define MARSFM_PLUGIN_FEATURIZER_1 "marsfm.featurizer/1"

/** Id of a service: reserved: runs MD; no table is defined yet. */
#define MARSFM_PLUGIN_ENGINE_1 "marsfm.engine/1"

/** Id of a service: reserved: proposes conformations; no table yet. */
#define MARSFM_PLUGIN_PROPOSER_1 "marsfm.proposer/1"

/** Id of a service: reserved: computes surrogates; no table yet. */
#define MARSFM_PLUGIN_BACKEND_1 "marsfm.backend/1"

/** An opened trajectory, opaque. One thread at a time. */
typedef struct marsfm_plugin_reader_t marsfm_plugin_reader_t;

/** A trajectory being written, opaque. One thread at a time. */
typedef struct marsfm_plugin_writer_t marsfm_plugin_writer_t;

/** A featurizer bound to a topology, opaque. One thread at a time. */
typedef struct marsfm_plugin_featurizer_t marsfm_plugin_featurizer_t;

/**
 * Major version of the plugin ABI: host and plugin must agree exactly.
 */
#define MARSFM_PLUGIN_ABI_MAJOR 1

/**
 * Minor version of the plugin ABI: a plugin may be older than the host, not newer.
 */
#define MARSFM_PLUGIN_ABI_MINOR 0

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
