/* marsfm: state-to-state jumps for molecular dynamics. The C interface of libmarsfm.
 *
 * Units: nm, ps, K. Cells are row-major 3 x 3 matrices. Texts are UTF-8 and end with NUL.
 *
 * Calls that can fail return a status, MARSFM_OK (0) or MARSFM_ERROR_...; on failure nothing is
 * written to outputs (but the size that a buffer needs), and marsfm_last_error_message has the
 * text. Nothing unwinds out of the library, and it prints nothing on stdout.
 *
 * Structs begin with struct_size: set the struct to zero, then struct_size to its sizeof; zero
 * fields mean the default. Later versions grow structs at their end, so programs compiled against
 * this header go on working.
 *
 * Jump, minimisation and new velocities between pieces of MD do not satisfy detailed balance: this
 * is a way of starting MD, not of sampling an ensemble. Never read populations, free energies or
 * rates off samples, or off MD joined across jumps. Count each run by itself without its head
 * (marsfm_trajectory_new, discard_ps) in a Markov model, and read them off that.
 *
 * Handles come from ..._new, ..._load, ..._build, ..._jump or the like and go back to ..._free,
 * once; NULL is fine there. All other memory is the caller's, lent for the call and copied.
 *
 * Each function has a tag: [any thread], or [one thread per session] and [... per trajectory]
 * (another thread gets MARSFM_ERROR_BUSY). A handle must not be freed while a call uses it.
 *
 * Made by cbindgen from core/capi/src: MARSFM_BLESS=1 cargo test --release -p marsfm-capi */

#ifndef MARSFM_H
#define MARSFM_H

#include <stddef.h>
#include <stdint.h>

/** Version of this header. */
#define MARSFM_VERSION "0.1.0"

/* Warns when a status is thrown away. */
#if defined(__GNUC__)
#define MARSFM_MUST_USE __attribute__((warn_unused_result))
#else
#define MARSFM_MUST_USE
#endif

/**
 * Major version of the ABI: 0 until the first release, then changed only by what breaks callers.
 */
#define MARSFM_ABI_MAJOR 0

/**
 * Minor version of the ABI: grows when something is added.
 */
#define MARSFM_ABI_MINOR 5

/**
 * Success.
 */
#define MARSFM_OK 0

/**
 * An argument is unusable: NULL, out of range, not UTF-8, an unknown choice, a wrong struct_size.
 */
#define MARSFM_ERROR_ARGUMENT 1

/**
 * The buffer is too small; `needed` was written, nothing else.
 */
#define MARSFM_ERROR_SIZE 2

/**
 * A coordinate is NaN or infinite; the message names the atom's index.
 */
#define MARSFM_ERROR_NOT_FINITE 3

/**
 * Another number of atoms than the topology has.
 */
#define MARSFM_ERROR_COUNT 4

/**
 * The handle is in use by another thread.
 */
#define MARSFM_ERROR_BUSY 5

/**
 * The library does not have the ABI version asked for.
 */
#define MARSFM_ERROR_VERSION 6

/**
 * The caller's progress function stopped the work.
 */
#define MARSFM_ERROR_STOPPED 7

/**
 * A job has not ended yet.
 */
#define MARSFM_ERROR_PENDING 8

/**
 * A file cannot be read, or is not what it should be.
 */
#define MARSFM_ERROR_FILE 100

/**
 * The atoms or positions are no chain that can be sampled; the message names the residue.
 */
#define MARSFM_ERROR_TOPOLOGY 200

/**
 * The model is unusable, for this request or at all.
 */
#define MARSFM_ERROR_MODEL 300

/**
 * The device asked for is not there, or not in this build.
 */
#define MARSFM_ERROR_DEVICE 301

/**
 * No Markov model can be made of this data with these lags.
 */
#define MARSFM_ERROR_MSM 400

/**
 * An adaptive loop cannot begin or go on: its settings, its engine, its disk; see the message.
 */
#define MARSFM_ERROR_LOOP 500

/**
 * A defect of marsfm was caught; please report the message.
 */
#define MARSFM_ERROR_INTERNAL 900

/**
 * All epochs of a loop are over.
 */
#define MARSFM_LOOP_COMPLETE 0

/**
 * The MD budget of a loop is spent.
 */
#define MARSFM_LOOP_BUDGET 1

/**
 * The model of a loop has settled.
 */
#define MARSFM_LOOP_SETTLED 2

/**
 * The limits of the call; calling again goes on.
 */
#define MARSFM_LOOP_LIMITS 3

/**
 * The progress function stopped the loop; calling again goes on.
 */
#define MARSFM_LOOP_STOPPED 4

/**
 * Log level: a call failed.
 */
#define MARSFM_LOG_ERROR 1

/**
 * Log level: the result is usable, with a remark.
 */
#define MARSFM_LOG_WARNING 2

/**
 * Log level: what is done.
 */
#define MARSFM_LOG_INFO 3

/**
 * States of k-means.
 */
#define MARSFM_MICROSTATES 1

/**
 * States of PCCA+.
 */
#define MARSFM_MACROSTATES 2

/**
 * Element type of positions: float.
 */
#define MARSFM_F32 1

/**
 * Element type of positions: double.
 */
#define MARSFM_F64 2

/**
 * Integrator: the library's choice, at present MARSFM_SOLVER_ADAMS with 16 steps.
 */
#define MARSFM_SOLVER_DEFAULT 0

/**
 * Integrator: Euler, fixed steps.
 */
#define MARSFM_SOLVER_EULER 1

/**
 * Integrator: midpoint rule, fixed steps.
 */
#define MARSFM_SOLVER_MIDPOINT 2

/**
 * Integrator: Heun, fixed steps.
 */
#define MARSFM_SOLVER_HEUN 3

/**
 * Integrator: classical Runge-Kutta, fixed steps.
 */
#define MARSFM_SOLVER_RK4 4

/**
 * Integrator: Dormand-Prince 5(4), steps chosen for each sample by itself.
 */
#define MARSFM_SOLVER_DOPRI5 5

/**
 * Integrator: Adams predictor and corrector, fixed steps that shorten towards t = 1, an evaluation
 * each.
 */
#define MARSFM_SOLVER_ADAMS 6

/**
 * A sample that an engine can start from.
 */
#define MARSFM_SAMPLE_ACCEPTED 0

/**
 * A sample that is strained (see repair_reasons): minimise before MD.
 */
#define MARSFM_SAMPLE_NEEDS_REPAIR 1

/**
 * A sample not to be used (see rejected_reasons).
 */
#define MARSFM_SAMPLE_REJECTED 2

/**
 * Reason: a coordinate is NaN or infinite.
 */
#define MARSFM_REASON_NOT_FINITE 1

/**
 * Reason: a peptide bond (or two neighbouring CA atoms) too long.
 */
#define MARSFM_REASON_BROKEN_CHAIN 2

/**
 * Reason: an omega torsion far from 0 and 180 degrees.
 */
#define MARSFM_REASON_OMEGA 4

/**
 * Reason: heavy atoms of different residues too close.
 */
#define MARSFM_REASON_CLASH 8

/**
 * Reason: a mirrored centre.
 */
#define MARSFM_REASON_CHIRALITY 16

/**
 * Reason: a bond passes through a ring.
 */
#define MARSFM_REASON_RING_PIERCED 32

/**
 * A prepared seed that minimisation only polished: run it.
 */
#define MARSFM_SEED_VALID 0

/**
 * A prepared seed that minimisation mended within the limits: run it.
 */
#define MARSFM_SEED_REPAIRED 1

/**
 * A prepared seed that is not, or no longer, the conformation that was drawn: do not run it.
 */
#define MARSFM_SEED_REJECTED 2

/**
 * Remark on a prepared seed: the sample itself asked for repair.
 */
#define MARSFM_SEED_SAMPLE 1

/**
 * Remark: the heavy atoms moved by more than 0.05 nm (root mean square).
 */
#define MARSFM_SEED_MOVED 2

/**
 * Remark: its energy with the heavy atoms restrained is above the ensemble's.
 */
#define MARSFM_SEED_STRAINED 4

/**
 * Rejected: a centre was mirrored.
 */
#define MARSFM_SEED_CHIRALITY 8

/**
 * Rejected: a peptide bond changed between cis and trans.
 */
#define MARSFM_SEED_OMEGA 16

/**
 * Rejected: a backbone torsion moved by more than 30 degrees.
 */
#define MARSFM_SEED_TORSION 32

/**
 * Rejected: its energy is far above the ensemble's, or not finite; or a disulphide is broken.
 */
#define MARSFM_SEED_ENERGY 64

/**
 * Rejected: an atom still feels too large a force.
 */
#define MARSFM_SEED_FORCE 128

/**
 * Text of a model: SHA-256 of its file, hexadecimal.
 */
#define MARSFM_MODEL_SHA256 1

/**
 * Text of a model: force field of its training data.
 */
#define MARSFM_MODEL_FORCE_FIELD 2

/**
 * Text of a model: solvent of its training data.
 */
#define MARSFM_MODEL_SOLVENT 3

/**
 * Text of a model: termini of its training data, "charged", "capped" or "mixed".
 */
#define MARSFM_MODEL_TERMINI 4

/**
 * The samples of one request, opaque. Immutable: share it between threads.
 */
typedef struct marsfm_batch_t marsfm_batch_t;

/**
 * A request that is worked on by a thread of the library, opaque. Use it from any thread.
 */
typedef struct marsfm_job_t marsfm_job_t;

/**
 * A trained surrogate, opaque. Immutable: share it between threads.
 */
typedef struct marsfm_model_t marsfm_model_t;

/**
 * A Markov model, opaque. Immutable: share it between threads.
 */
typedef struct marsfm_msm_t marsfm_msm_t;

/**
 * A model bound to a topology, opaque. One thread at a time; make one session per thread.
 */
typedef struct marsfm_session_t marsfm_session_t;

/**
 * Names and order of a caller's atoms, opaque. Immutable: share it between threads.
 */
typedef struct marsfm_topology_t marsfm_topology_t;

/**
 * Frames of one run, opaque. One thread at a time.
 */
typedef struct marsfm_trajectory_t marsfm_trajectory_t;

/**
 * Outcome of a call: MARSFM_OK or one of MARSFM_ERROR_...
 */
typedef int32_t marsfm_status_t;

/**
 * Told what the library does, see marsfm_set_log. The message is UTF-8 and lives for the call.
 */
typedef int32_t (*marsfm_log_t)(void *user_data, int32_t level, const char *message);

/**
 * One atom as the caller names it. Texts are UTF-8 and borrowed for the call.
 */
typedef struct marsfm_atom_t {
  /**
   * sizeof(marsfm_atom_t); the same in all atoms of an array.
   */
  size_t struct_size;
  /**
   * Atom name ("CA", "HB2"); the names of the PDB, Amber, CHARMM and GROMACS are understood.
   */
  const char *name;
  /**
   * Element symbol, or NULL to go by the name.
   */
  const char *element;
  /**
   * Residue name ("ALA", "HIE", "HOH").
   */
  const char *residue_name;
  /**
   * Chain identifier, or NULL.
   */
  const char *chain;
  /**
   * Insertion code, or NULL.
   */
  const char *insertion;
  /**
   * Residue number.
   */
  int32_t residue_number;
  /**
   * 0.
   */
  int32_t reserved;
} marsfm_atom_t;

/**
 * What a topology holds.
 */
typedef struct marsfm_topology_info_t {
  /**
   * sizeof(marsfm_topology_info_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Atoms, solvent and all.
   */
  uint64_t n_atoms;
  /**
   * Amino acids (caps not counted).
   */
  uint64_t n_residues;
} marsfm_topology_info_t;

/**
 * How to load a model. All zero (but struct_size) is the default.
 */
typedef struct marsfm_model_options_t {
  /**
   * sizeof(marsfm_model_options_t), set by the caller.
   */
  size_t struct_size;
  /**
   * "cpu", or NULL for it; "cuda", "cuda:1" (the second card), "cuda/bf16" (matrix products in
   * bfloat16); "auto": CUDA if it can be used,
   * else the CPU. CUDA needs a card, its driver and the plugin "cuda"; without them the call
   * gives MARSFM_ERROR_DEVICE and the reason.
   */
  const char *device;
} marsfm_model_options_t;

/**
 * What a model was trained to reproduce.
 */
typedef struct marsfm_model_info_t {
  /**
   * sizeof(marsfm_model_info_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Time that one jump stands for, ps.
   */
  double lag_ps;
  /**
   * Temperature of the training data, K; of a model that takes a temperature, that of draws which
   * ask for none.
   */
  double temperature_kelvin;
  /**
   * Shortest chain of the training data, residues.
   */
  uint64_t min_residues;
  /**
   * Longest chain of the training data, residues.
   */
  uint64_t max_residues;
  /**
   * 1 if the model takes a temperature, which sessions choose; 0 if it knows one alone.
   */
  uint32_t takes_temperature;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Lowest temperature of the training data, K.
   */
  double min_temperature_kelvin;
  /**
   * Highest temperature of the training data, K.
   */
  double max_temperature_kelvin;
} marsfm_model_info_t;

/**
 * Options of a session. All zero (but struct_size) is the default: nothing known of the caller's
 * system, the default integrator.
 */
typedef struct marsfm_session_options_t {
  /**
   * sizeof(marsfm_session_options_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Temperature of the caller's system, K; 0 if not known. A model that takes a temperature draws
   * at this one, or, if it is 0, at that of marsfm_model_info_t.
   */
  double temperature_kelvin;
  /**
   * Force field of the caller's system, or NULL if not known.
   */
  const char *force_field;
  /**
   * Solvent of the caller's system, or NULL if not known.
   */
  const char *solvent;
  /**
   * One of MARSFM_SOLVER_...
   */
  int32_t solver;
  /**
   * Steps of a fixed-step integrator; 0 means 16 of Adams, 10 of the others.
   */
  uint32_t solver_steps;
  /**
   * Relative and absolute tolerance of MARSFM_SOLVER_DOPRI5; 0 means 1e-5.
   */
  double solver_tolerance;
  /**
   * 0: the chains of accepted samples are closed and tight contacts opened by the smallest
   * motion found, which marsfm_sample_info_t tells. Anything else: samples as they were drawn.
   */
  uint32_t as_drawn;
  /**
   * 0.
   */
  uint32_t reserved;
} marsfm_session_options_t;

/**
 * Positions lent to the library for the call.
 */
typedef struct marsfm_xyz_in_t {
  /**
   * sizeof(marsfm_xyz_in_t), set by the caller.
   */
  size_t struct_size;
  /**
   * x of the first atom, followed by y and z; nm. No alignment is needed.
   */
  const void *data_nm;
  /**
   * Number of atoms; must be that of the topology.
   */
  size_t n_atoms;
  /**
   * Bytes from one atom's x to the next one's; 0 means packed (three elements).
   */
  size_t stride_bytes;
  /**
   * MARSFM_F32 or MARSFM_F64.
   */
  int32_t dtype;
  /**
   * 0.
   */
  int32_t reserved;
} marsfm_xyz_in_t;

/**
 * Told how far a long call is: draws done and the most that will be done. Runs on the calling
 * thread, between levels of the tree; must not call into marsfm with the same session. Returning
 * anything but 0 stops the work: the call fails with MARSFM_ERROR_STOPPED.
 */
typedef int32_t (*marsfm_progress_t)(void *user_data, uint64_t done, uint64_t budget);

/**
 * The shape of a tree of jumps.
 */
typedef struct marsfm_tree_options_t {
  /**
   * sizeof(marsfm_tree_options_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Children of the start.
   */
  uint64_t roots;
  /**
   * Children of every accepted later sample.
   */
  uint64_t branching;
  /**
   * Levels below the start.
   */
  uint64_t depth;
  /**
   * Most draws, rejected ones counted.
   */
  uint64_t budget;
  /**
   * How often a rejected draw is repeated from the same parent.
   */
  uint64_t retries;
  /**
   * Called between levels, or NULL.
   */
  marsfm_progress_t progress;
  /**
   * Handed to progress.
   */
  void *user_data;
} marsfm_tree_options_t;

/**
 * Summary of a batch.
 */
typedef struct marsfm_batch_info_t {
  /**
   * sizeof(marsfm_batch_info_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Samples, rejected ones included.
   */
  uint64_t n_samples;
  /**
   * Samples that are not rejected.
   */
  uint64_t n_accepted;
  /**
   * Residues of the chain.
   */
  uint64_t n_residues;
  /**
   * Atoms of the topology.
   */
  uint64_t n_atoms;
  /**
   * Atoms beside the chain (solvent, ions, ligands): they stay where they are.
   */
  uint64_t n_bystanders;
  /**
   * Ways in which the request differs from what the model was trained on.
   */
  uint64_t n_differences;
} marsfm_batch_info_t;

/**
 * One sample's origin and verdict.
 */
typedef struct marsfm_sample_info_t {
  /**
   * sizeof(marsfm_sample_info_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Sample of the batch that it was drawn from; -1 for the start.
   */
  int64_t parent;
  /**
   * Number of jumps from the start: 1 for its children.
   */
  uint64_t depth;
  /**
   * Number of the draw: with model, start and rng_seed it reproduces the sample.
   */
  uint64_t id;
  /**
   * One of MARSFM_SAMPLE_...
   */
  int32_t status;
  /**
   * Why it is rejected: MARSFM_REASON_... added up.
   */
  uint32_t rejected_reasons;
  /**
   * What minimisation has to mend: MARSFM_REASON_... added up.
   */
  uint32_t repair_reasons;
  /**
   * Pairs of heavy atoms closer than 0.8 of their summed van der Waals radii.
   */
  uint32_t tight_contacts;
  /**
   * Largest deviation of a peptide bond from 0.133 nm, nm.
   */
  double worst_peptide_bond_nm;
  /**
   * Smallest distance of heavy atoms of different, not bonded residues, nm; infinity if none.
   */
  double closest_contact_nm;
  /**
   * Atoms beside the chain, which stayed where they are.
   */
  uint64_t n_bystanders;
  /**
   * Root-mean-square move of the heavy atoms by closing the chain, nm; 0 as drawn.
   */
  double idealised_nm;
} marsfm_sample_info_t;

/**
 * Room for positions, lent to the library for the call.
 */
typedef struct marsfm_xyz_out_t {
  /**
   * sizeof(marsfm_xyz_out_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Takes x of the first atom, followed by y and z; nm. No alignment is needed.
   */
  void *data_nm;
  /**
   * Number of atoms that there is room for; must be that of the topology.
   */
  size_t n_atoms;
  /**
   * Bytes from one atom's x to the next one's; 0 means packed (three elements).
   */
  size_t stride_bytes;
  /**
   * MARSFM_F32 or MARSFM_F64.
   */
  int32_t dtype;
  /**
   * 0.
   */
  int32_t reserved;
} marsfm_xyz_out_t;

/**
 * Energies of a structure that an engine has minimised, first with the heavy atoms restrained.
 */
typedef struct marsfm_minimised_t {
  /**
   * sizeof(marsfm_minimised_t); the same in all structs of an array.
   */
  size_t struct_size;
  /**
   * Potential energy before, kJ/mol.
   */
  double before_kj_mol;
  /**
   * Potential energy (without the restraints) with the heavy atoms restrained, kJ/mol.
   */
  double restrained_kj_mol;
  /**
   * Potential energy after the free minimisation, kJ/mol.
   */
  double after_kj_mol;
  /**
   * Largest force on an atom after it, kJ/mol/nm.
   */
  double max_force_kj_mol_nm;
} marsfm_minimised_t;

/**
 * What became of a sample that an engine has prepared.
 */
typedef struct marsfm_seed_info_t {
  /**
   * sizeof(marsfm_seed_info_t), set by the caller.
   */
  size_t struct_size;
  /**
   * MARSFM_SEED_VALID, MARSFM_SEED_REPAIRED or MARSFM_SEED_REJECTED.
   */
  int32_t status;
  /**
   * MARSFM_SEED_SAMPLE and the like, added up.
   */
  uint32_t reasons;
  /**
   * Root-mean-square move of the heavy atoms, nm.
   */
  double rms_nm;
  /**
   * Largest move of a phi, psi or omega torsion, degrees.
   */
  double max_torsion_degrees;
} marsfm_seed_info_t;

/**
 * How far the head and the rest of a trajectory have come.
 */
typedef struct marsfm_trajectory_info_t {
  /**
   * sizeof(marsfm_trajectory_info_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Frames taken, the head included.
   */
  uint64_t n_seen;
  /**
   * Frames that count.
   */
  uint64_t n_kept;
  /**
   * Atoms of a frame.
   */
  uint64_t n_atoms;
  /**
   * Time between frames, ps.
   */
  double frame_ps;
} marsfm_trajectory_info_t;

/**
 * How to build a Markov model. All zero (but struct_size) is the default.
 */
typedef struct marsfm_msm_options_t {
  /**
   * sizeof(marsfm_msm_options_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Time between frames, ps, for files that cannot tell; 0 to go by the files.
   */
  double frame_ps;
  /**
   * Lag of TICA, ps; 0 means 10.
   */
  double tica_lag_ps;
  /**
   * Lag of the microstate model, ps; 0 means 10.
   */
  double msm_lag_ps;
  /**
   * Lag of the macrostate transition matrix, ps; 0 means 10.
   */
  double pair_lag_ps;
  /**
   * Microstates (k-means centres); 0 means 100.
   */
  uint64_t n_microstates;
  /**
   * Macrostates (PCCA+); 0 means 10. Fewer may be found.
   */
  uint64_t n_macrostates;
  /**
   * Random seed of k-means; 0 means 137.
   */
  uint64_t rng_seed;
  /**
   * Features side by side, names separated by commas: "torsions" (backbone and side chains),
   * "backbone", "ca-distances", "heavy-distances", "contacts", "rg-ss" (radius of gyration, helix
   * and strand content), "ss8" (DSSP's eight classes). NULL means "torsions".
   */
  const char *features;
  /**
   * Featurizer plugin instead of them, "NAME" or "NAME=OPTIONS"; NULL for none.
   */
  const char *feature_plugin;
} marsfm_msm_options_t;

/**
 * How trajectories that were added to a Markov model differ from what it was built on.
 */
typedef struct marsfm_msm_drift_t {
  /**
   * sizeof(marsfm_msm_drift_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Frames that the model had.
   */
  uint64_t frames_before;
  /**
   * Frames that came.
   */
  uint64_t frames_added;
  /**
   * Microstates that are connected now and were not before.
   */
  uint64_t newly_connected;
  /**
   * Mean squared distance to the nearest centre, new frames over old ones: near 1 they fit.
   */
  double distance_ratio;
  /**
   * Jensen-Shannon distance between the microstates of old and new frames, 0 to 0.83.
   */
  double population_distance;
  /**
   * 1 if the model should be built anew: the new frames are where no centre is.
   */
  int32_t centres_outgrown;
  /**
   * 0.
   */
  int32_t reserved;
} marsfm_msm_drift_t;

/**
 * What a Markov model holds.
 */
typedef struct marsfm_msm_info_t {
  /**
   * sizeof(marsfm_msm_info_t), set by the caller.
   */
  size_t struct_size;
  /**
   * Atoms of a frame.
   */
  uint64_t n_atoms;
  /**
   * Frames that it was built from.
   */
  uint64_t n_frames;
  /**
   * Microstates.
   */
  uint64_t n_microstates;
  /**
   * Macrostates that are not empty.
   */
  uint64_t n_macrostates;
  /**
   * Time between frames, ps.
   */
  double frame_ps;
  /**
   * Lag of the microstate model and of its timescales, ps.
   */
  double msm_lag_ps;
  /**
   * Lag of the macrostate transition matrix, ps.
   */
  double pair_lag_ps;
  /**
   * Numbers in a row of its features.
   */
  uint64_t n_features;
} marsfm_msm_info_t;

/**
 * Told how far a loop is: what is being done (UTF-8, lives for the call), epoch from 0, of how many,
 * and the part of all MD that is done, 0 to 1. Runs on the calling thread. Returning anything but 0
 * stops the loop at a point from which it can go on.
 */
typedef int32_t (*marsfm_loop_progress_t)(void *user_data,
                                          const char *stage,
                                          uint64_t epoch,
                                          uint64_t epochs,
                                          double done);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Copies what is known of plugins, as a JSON array of objects: those in use with path, name,
 * version, sha256, services and formats, and those refused with path and reason (refused). They
 * are looked for in the folders of MARSFM_PLUGIN_PATH (absolute paths, colons between), then in
 * lib/marsfm/plugins beside the library. For buffer, capacity and needed see
 * marsfm_last_error_message.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
 *
 * Example: marsfm_plugin_list(json, sizeof json, NULL);
 */
MARSFM_MUST_USE marsfm_status_t marsfm_plugin_list(char *buffer, size_t capacity, size_t *needed);

/**
 * The ABI version of the library that is running: major * 65536 + minor. [any thread]
 *
 * Example: printf("ABI %u\n", (unsigned)(marsfm_abi_version() >> 16));
 */
uint32_t marsfm_abi_version(void);

/**
 * The version of the library that is running, such as "0.1.0". Lives as long as the library.
 * [any thread]
 *
 * Example: puts(marsfm_version());
 */
const char *marsfm_version(void);

/**
 * Checks that the library that is running serves a program compiled for ABI major.minor: the same
 * major, and a minor that is not smaller. Call it once, first.
 *
 * Returns MARSFM_OK, or MARSFM_ERROR_VERSION with both versions in the message. [any thread]
 *
 * Example: if (marsfm_check_abi(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR)) return 1;
 */
MARSFM_MUST_USE marsfm_status_t marsfm_check_abi(uint32_t major, uint32_t minor);

/**
 * Sets the function that is told what the library does, for the whole process; without one it
 * says nothing. When the call returns, the function before is not running and will not be called
 * again, so its user_data may be released.
 *
 * - log: NULL for none. It may be called from any thread, also several at once; it must not call
 *   into marsfm, and anything but 0 that it returns takes it out.
 * - user_data: handed to log.
 * - level: one of MARSFM_LOG_...; messages of this level and of lower numbers are told.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, or MARSFM_ERROR_BUSY from within a log function.
 * [any thread]
 *
 * Example: marsfm_set_log(print_message, stderr, MARSFM_LOG_WARNING);
 */
MARSFM_MUST_USE marsfm_status_t marsfm_set_log(marsfm_log_t log, void *user_data, int32_t level);

/**
 * Copies the message of this thread's last failed call: function, what, where, expected and got.
 * It stays until the next call on this thread fails; empty if none has.
 *
 * - buffer: takes the text, UTF-8 with a final NUL; may be NULL if capacity is 0.
 * - capacity: bytes of buffer; 0 only asks for the size.
 * - needed: takes the size of the text with its NUL; may be NULL.
 *
 * Returns MARSFM_OK, or MARSFM_ERROR_SIZE if the buffer is too small. [any thread]
 *
 * Example: char text[512]; marsfm_last_error_message(text, sizeof text, NULL);
 */
marsfm_status_t marsfm_last_error_message(char *buffer, size_t capacity, size_t *needed);

/**
 * The name of a status ("MARSFM_ERROR_BUSY"), or "unknown status". Lives as long as the library.
 * [any thread]
 *
 * Example: puts(marsfm_status_name(status));
 */
const char *marsfm_status_name(marsfm_status_t status);

/**
 * Makes a topology of atoms in the caller's own order; every later list of positions is in that
 * order. Atoms of one amino acid or cap share chain, number, insertion code and name but need not
 * be neighbours; residues are taken in the order in which they appear first.
 *
 * - atoms: n_atoms of them, borrowed for the call.
 * - topology: takes the new topology; free it with marsfm_topology_free.
 *
 * Returns MARSFM_OK; MARSFM_ERROR_ARGUMENT names the atom that has a NULL or unreadable name;
 * MARSFM_ERROR_TOPOLOGY: no amino acid among the atoms. What is bonded to what is seen from
 * positions, so incomplete residues, gaps and second chains are reported by the first jump.
 * [any thread]
 *
 * Example: marsfm_topology_new_from_atoms(atoms, n_atoms, &topology);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_topology_new_from_atoms(const struct marsfm_atom_t *atoms,
                                               size_t n_atoms,
                                               struct marsfm_topology_t **topology);

/**
 * Reads a topology from a structure file (PDB, mmCIF and what else the installed plugins read);
 * positions are then in the order of that file.
 *
 * - path: the file, UTF-8.
 * - topology: takes the new topology; free it with marsfm_topology_free.
 *
 * Returns MARSFM_OK; MARSFM_ERROR_FILE: no such file, no plugin for it, or a damaged file;
 * MARSFM_ERROR_TOPOLOGY: no amino acid in it. [any thread]
 *
 * Example: marsfm_topology_new_from_file("peptide.pdb", &topology);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_topology_new_from_file(const char *path,
                                              struct marsfm_topology_t **topology);

/**
 * Frees a topology; NULL is fine. Sessions made of it go on. [any thread]
 *
 * Example: marsfm_topology_free(topology);
 */
void marsfm_topology_free(struct marsfm_topology_t *topology);

/**
 * Tells what a topology holds.
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
 *
 * Example: info.struct_size = sizeof info; marsfm_topology_info(topology, &info);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_topology_info(const struct marsfm_topology_t *topology,
                                     struct marsfm_topology_info_t *info);

/**
 * Copies the sequence, one letter per amino acid. For buffer, capacity and needed see
 * marsfm_last_error_message.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
 *
 * Example: marsfm_topology_sequence(topology, letters, sizeof letters, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_topology_sequence(const struct marsfm_topology_t *topology,
                                         char *buffer,
                                         size_t capacity,
                                         size_t *needed);

/**
 * Tells where the default model is: the environment variable MARSFM_MODEL, else the installed one
 * (share/marsfm/models beside the library's folder), else the one of the checkout that the library
 * was built in. For buffer, capacity and needed see marsfm_last_error_message.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_SIZE, or MARSFM_ERROR_FILE if there is
 * none. [any thread]
 *
 * Example: marsfm_default_model_path(path, sizeof path, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_default_model_path(char *buffer,
                                          size_t capacity,
                                          size_t *needed);

/**
 * Loads a model (a .safetensors file written by marsfm). A file of another kind is refused before
 * anything is allocated for it.
 *
 * - path: the file, UTF-8; NULL for the default model (see marsfm_default_model_path).
 * - options: NULL for the defaults.
 * - model: takes the new model; free it with marsfm_model_free.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_FILE (no default model),
 * MARSFM_ERROR_MODEL (no such file, not a model, damaged) or MARSFM_ERROR_DEVICE. [any thread]
 *
 * Example: marsfm_model_load(NULL, NULL, &model);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_model_load(const char *path,
                                  const struct marsfm_model_options_t *options,
                                  struct marsfm_model_t **model);

/**
 * Frees a model; NULL is fine. Sessions made of it go on. [any thread]
 *
 * Example: marsfm_model_free(model);
 */
void marsfm_model_free(struct marsfm_model_t *model);

/**
 * Tells what a model was trained to reproduce.
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
 *
 * Example: info.struct_size = sizeof info; marsfm_model_info(model, &info);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_model_info(const struct marsfm_model_t *model,
                                  struct marsfm_model_info_t *info);

/**
 * Copies one of a model's texts. For buffer, capacity and needed see marsfm_last_error_message.
 *
 * - which: one of MARSFM_MODEL_...
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
 *
 * Example: marsfm_model_text(model, MARSFM_MODEL_SHA256, hash, sizeof hash, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_model_text(const struct marsfm_model_t *model,
                                  int32_t which,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *needed);

/**
 * Binds a model to a topology. Both may be freed afterwards: the session keeps what it needs.
 *
 * - options: what is known of the caller's system, and the integrator; NULL for the defaults.
 * - session: takes the new session; free it with marsfm_session_free.
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
 *
 * Example: marsfm_session_new(model, topology, NULL, &session);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_session_new(const struct marsfm_model_t *model,
                                   const struct marsfm_topology_t *topology,
                                   const struct marsfm_session_options_t *options,
                                   struct marsfm_session_t **session);

/**
 * Frees a session; NULL is fine. Batches drawn with it stay. [not while it is in use]
 *
 * Example: marsfm_session_free(session);
 */
void marsfm_session_free(struct marsfm_session_t *session);

/**
 * Draws n jumps from one conformation: n conformations that the molecule could have one lag time
 * later, each judged. Rejected ones are in the batch too, marked. The same model, positions and
 * rng_seed give the same samples on one type of CPU, whatever the number of threads.
 *
 * - xyz: positions of all atoms, nm, in the order of the topology.
 * - box_nm: cell vectors as the rows of a 3 x 3 matrix, nm; NULL without periodicity. The molecule
 *   may be split over the boundary; samples are whole.
 * - n: number of jumps, 1 to 1000000.
 * - rng_seed: any number.
 * - batch: takes the new batch; free it with marsfm_batch_free.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT, MARSFM_ERROR_NOT_FINITE,
 * MARSFM_ERROR_TOPOLOGY (names the residue that is incomplete, unknown or not bonded),
 * MARSFM_ERROR_MODEL or MARSFM_ERROR_BUSY. [one thread per session]
 *
 * Example: marsfm_session_jump(session, &xyz, NULL, 8, 42, &batch);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_session_jump(struct marsfm_session_t *session,
                                    const struct marsfm_xyz_in_t *xyz,
                                    const double *box_nm,
                                    size_t n,
                                    uint64_t rng_seed,
                                    struct marsfm_batch_t **batch);

/**
 * Grows a tree of jumps: jumps from the start, then from every accepted sample, level by level.
 * The batch tells parent and depth of every sample.
 *
 * - xyz, box_nm, rng_seed, batch: as in marsfm_session_jump.
 * - options: the shape of the tree; roots, branching, depth and budget are 1 or more.
 *
 * Returns what marsfm_session_jump returns, or MARSFM_ERROR_STOPPED. [one thread per session]
 *
 * Example: marsfm_session_tree(session, &xyz, NULL, &options, 42, &batch);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_session_tree(struct marsfm_session_t *session,
                                    const struct marsfm_xyz_in_t *xyz,
                                    const double *box_nm,
                                    const struct marsfm_tree_options_t *options,
                                    uint64_t rng_seed,
                                    struct marsfm_batch_t **batch);

/**
 * Begins to draw n jumps, as marsfm_session_jump does, on a thread of the library, and returns at
 * once: MD goes on meanwhile. Positions and cell are copied. The samples are the same as those of
 * marsfm_session_jump. The session may be used and freed before the job has ended.
 *
 * - xyz, box_nm, n, rng_seed: as in marsfm_session_jump.
 * - job: takes the new job; free it with marsfm_job_free.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT or MARSFM_ERROR_BUSY; what is
 * wrong with the positions is told by marsfm_job_poll. [one thread per session]
 *
 * Example: marsfm_session_submit(session, &xyz, NULL, 64, 42, &job);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_session_submit(struct marsfm_session_t *session,
                                      const struct marsfm_xyz_in_t *xyz,
                                      const double *box_nm,
                                      size_t n,
                                      uint64_t rng_seed,
                                      struct marsfm_job_t **job);

/**
 * Begins to grow a tree, as marsfm_session_tree does, on a thread of the library.
 *
 * - options: progress must be NULL; ask marsfm_job_progress instead.
 * - xyz, box_nm, rng_seed, job: as in marsfm_session_submit.
 *
 * Returns what marsfm_session_submit returns. [one thread per session]
 *
 * Example: marsfm_session_submit_tree(session, &xyz, NULL, &options, 42, &job);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_session_submit_tree(struct marsfm_session_t *session,
                                           const struct marsfm_xyz_in_t *xyz,
                                           const double *box_nm,
                                           const struct marsfm_tree_options_t *options,
                                           uint64_t rng_seed,
                                           struct marsfm_job_t **job);

/**
 * Asks for the result of a job. It is handed out once.
 *
 * - timeout_ms: how long to wait for it; 0 only looks, UINT32_MAX waits until the job has ended.
 * - batch: takes the new batch; free it with marsfm_batch_free.
 *
 * Returns MARSFM_OK; MARSFM_ERROR_PENDING: not ready yet; MARSFM_ERROR_STOPPED: cancelled;
 * MARSFM_ERROR_ARGUMENT, also if the result was taken before; or what marsfm_session_jump returns.
 * [any thread]
 *
 * Example: if (marsfm_job_poll(job, 0, &batch) == MARSFM_ERROR_PENDING) run_more_md();
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_job_poll(const struct marsfm_job_t *job,
                                uint32_t timeout_ms,
                                struct marsfm_batch_t **batch);

/**
 * Tells how far a job is: draws done, and the most that will be done.
 *
 * - done, budget: take the numbers; either may be NULL.
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
 *
 * Example: marsfm_job_progress(job, &done, &budget);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_job_progress(const struct marsfm_job_t *job,
                                    uint64_t *done,
                                    uint64_t *budget);

/**
 * Asks a job to end; it does after the draws that it is at (a few at a time), and is then
 * MARSFM_ERROR_STOPPED, unless it had ended before. [any thread]
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT.
 *
 * Example: marsfm_job_cancel(job);
 */
MARSFM_MUST_USE marsfm_status_t marsfm_job_cancel(const struct marsfm_job_t *job);

/**
 * Cancels a job, waits for its thread and frees it; NULL is fine. [not while it is in use]
 *
 * Example: marsfm_job_free(job);
 */
void marsfm_job_free(struct marsfm_job_t *job);

/**
 * Frees a batch; NULL is fine. [any thread]
 *
 * Example: marsfm_batch_free(batch);
 */
void marsfm_batch_free(struct marsfm_batch_t *batch);

/**
 * Number of samples of a batch, rejected ones included; 0 for NULL. [any thread]
 *
 * Example: for (i = 0; i < marsfm_batch_size(batch); i++) { ... }
 */
size_t marsfm_batch_size(const struct marsfm_batch_t *batch);

/**
 * Summary of a batch.
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
 *
 * Example: info.struct_size = sizeof info; marsfm_batch_info(batch, &info);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_batch_info(const struct marsfm_batch_t *batch,
                                  struct marsfm_batch_info_t *info);

/**
 * Origin and verdict of sample i.
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
 *
 * Example: sample.struct_size = sizeof sample; marsfm_batch_sample(batch, i, &sample);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_batch_sample(const struct marsfm_batch_t *batch,
                                    size_t i,
                                    struct marsfm_sample_info_t *sample);

/**
 * Copies the positions of sample i, nm, in the order of the topology: heavy atoms of the chain
 * rebuilt, hydrogens, OXT and caps carried along, all other atoms exactly as they were handed in.
 *
 * - xyz: the room for them; float or double and stride as the caller likes.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_COUNT, or MARSFM_ERROR_ARGUMENT, also for a sample rejected as
 * not finite, which has no positions. [any thread]
 *
 * Example: marsfm_batch_positions(batch, i, &out);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_batch_positions(const struct marsfm_batch_t *batch,
                                       size_t i,
                                       const struct marsfm_xyz_out_t *xyz);

/**
 * Writes samples to a file, one frame each: seeds with the caller's own atom and residue names in
 * the caller's order, and the cell of the start. The file appears when it is complete.
 *
 * - samples: n_samples numbers of samples, none of them rejected; NULL (and 0) for all that are
 *   not rejected.
 * - path: the file, UTF-8; its extension says the format: PDB and XTC, and with the chemfiles
 *   plugin GRO, TRR and others.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, or MARSFM_ERROR_FILE (cannot be written, or no plugin
 * writes such files). [any thread]
 *
 * Example: marsfm_batch_write(batch, NULL, 0, "seeds.gro");
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_batch_write(const struct marsfm_batch_t *batch,
                                   const size_t *samples,
                                   size_t n_samples,
                                   const char *path);

/**
 * Copies what is known of how the request differs from the data that the model was trained on
 * (temperature, force field, solvent, termini, chain length, residue types), one line for each
 * difference; empty if there is none. For buffer, capacity and needed see
 * marsfm_last_error_message.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
 *
 * Example: marsfm_batch_domain_message(batch, text, sizeof text, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_batch_domain_message(const struct marsfm_batch_t *batch,
                                            char *buffer,
                                            size_t capacity,
                                            size_t *needed);

/**
 * Judges sample i after the caller's engine has minimised it, first with the heavy atoms
 * restrained, then freely: whether it is still the conformation that was drawn, and whether its
 * energy is like that of MD. Reasons in words go to the log (MARSFM_LOG_INFO).
 *
 * - xyz: positions after minimisation, nm, whole, in the order of the topology.
 * - energies: of this sample.
 * - ensemble: n_ensemble structures from before the jump, minimised in the same way; NULL (and 0)
 *   judges forces but not energies. A single one, the start, is better than none.
 * - seed: takes the verdict.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT or MARSFM_ERROR_NOT_FINITE.
 * [any thread]
 *
 * Example: marsfm_batch_judge(batch, i, &xyz, &energies, &start, 1, &seed);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_batch_judge(const struct marsfm_batch_t *batch,
                                   size_t i,
                                   const struct marsfm_xyz_in_t *xyz,
                                   const struct marsfm_minimised_t *energies,
                                   const struct marsfm_minimised_t *ensemble,
                                   size_t n_ensemble,
                                   struct marsfm_seed_info_t *seed);

/**
 * Makes an empty trajectory for the frames of one uninterrupted run. Begin a new one after every
 * jump: no transition may be counted across it, and the head of a run is not in equilibrium.
 *
 * - name: for messages, and kept in the model; NULL for none.
 * - frame_ps: time between frames, ps.
 * - discard_ps: frames within this time of the first one are taken and not counted; 0 keeps all.
 * - trajectory: takes the new trajectory; free it with marsfm_trajectory_free.
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
 *
 * Example: marsfm_trajectory_new(topology, "run 7", 1.0, 10.0, &trajectory);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_trajectory_new(const struct marsfm_topology_t *topology,
                                      const char *name,
                                      double frame_ps,
                                      double discard_ps,
                                      struct marsfm_trajectory_t **trajectory);

/**
 * Reads a trajectory file (XTC and what else the installed plugins read) whose atoms are those of
 * the topology, in its order.
 *
 * - path: the file, UTF-8.
 * - frame_ps: time between frames, ps, for files that cannot tell; 0 to go by the file.
 * - discard_ps, trajectory: as in marsfm_trajectory_new.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_FILE (names file and frame).
 * [any thread]
 *
 * Example: marsfm_trajectory_read(topology, "run7.xtc", 0.0, 10.0, &trajectory);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_trajectory_read(const struct marsfm_topology_t *topology,
                                       const char *path,
                                       double frame_ps,
                                       double discard_ps,
                                       struct marsfm_trajectory_t **trajectory);

/**
 * Takes the next frame, which is copied.
 *
 * - xyz: positions of all atoms, nm, in the order of the topology.
 * - box_nm: as in marsfm_session_jump.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT, MARSFM_ERROR_NOT_FINITE or
 * MARSFM_ERROR_BUSY; a frame that is refused is not counted. [one thread per trajectory]
 *
 * Example: marsfm_trajectory_append(trajectory, &xyz, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_trajectory_append(struct marsfm_trajectory_t *trajectory,
                                         const struct marsfm_xyz_in_t *xyz,
                                         const double *box_nm);

/**
 * Tells how many frames a trajectory has taken and keeps.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_BUSY. [one thread per trajectory]
 *
 * Example: info.struct_size = sizeof info; marsfm_trajectory_info(trajectory, &info);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_trajectory_info(const struct marsfm_trajectory_t *trajectory,
                                       struct marsfm_trajectory_info_t *info);

/**
 * Frees a trajectory; NULL is fine. [not while it is in use]
 *
 * Example: marsfm_trajectory_free(trajectory);
 */
void marsfm_trajectory_free(struct marsfm_trajectory_t *trajectory);

/**
 * Builds a Markov model of one molecule: features, TICA, k-means microstates, PCCA+ macrostates.
 * Long: seconds to minutes. Trajectories stay apart, no transition is counted between two files.
 * Frames are later assigned in the order of the topology file.
 *
 * - topology_path: structure file that belongs to the trajectories (PDB, mmCIF ...), UTF-8.
 * - trajectory_paths: n_trajectories files (XTC ...), UTF-8; what can be read depends on the plugins.
 * - options: lags in ps, sizes, features; NULL for the defaults.
 * - msm: takes the new model; free it with marsfm_msm_free.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_FILE (names file and frame) or
 * MARSFM_ERROR_MSM (lag longer than the data and the like). [any thread]
 *
 * Example: marsfm_msm_build("peptide.pdb", files, 4, NULL, &msm);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_build(const char *topology_path,
                                 const char *const *trajectory_paths,
                                 size_t n_trajectories,
                                 const struct marsfm_msm_options_t *options,
                                 struct marsfm_msm_t **msm);

/**
 * Builds a Markov model of trajectories in memory, as marsfm_msm_build does of files. Frames are
 * later assigned in the order of the first trajectory's topology.
 *
 * - trajectories: n_trajectories of them, of one molecule; they stay the caller's.
 * - options: frame_ps must be 0: the trajectories know it.
 * - msm: takes the new model; free it with marsfm_msm_free.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_BUSY or MARSFM_ERROR_MSM. [any thread]
 *
 * Example: marsfm_msm_build_from_trajectories(runs, 4, NULL, &msm);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_build_from_trajectories(const struct marsfm_trajectory_t *const *trajectories,
                                                   size_t n_trajectories,
                                                   const struct marsfm_msm_options_t *options,
                                                   struct marsfm_msm_t **msm);

/**
 * Makes a model of an older one and new trajectories: projection and microstate centres stay,
 * counts grow, everything that follows from them is estimated anew. The older model stays.
 *
 * - trajectories: n_trajectories runs of the model's molecule; names and numbers of its residues
 *   must be the model's, the order of atoms need not.
 * - drift: takes how the new frames differ from the old ones; may be NULL.
 * - updated: takes the new model; free it with marsfm_msm_free.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_BUSY or MARSFM_ERROR_MSM (no frame left
 * after the head, another molecule, another time between frames). [any thread]
 *
 * Example: marsfm_msm_update(msm, runs, 4, &drift, &updated);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_update(const struct marsfm_msm_t *msm,
                                  const struct marsfm_trajectory_t *const *trajectories,
                                  size_t n_trajectories,
                                  struct marsfm_msm_drift_t *drift,
                                  struct marsfm_msm_t **updated);

/**
 * Writes a model to a file, which appears when it is complete. The marsfm program reads it too.
 *
 * - path: the file (.safetensors), UTF-8.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_FILE. [any thread]
 *
 * Example: marsfm_msm_save(msm, "peptide.msm.safetensors");
 */
MARSFM_MUST_USE marsfm_status_t marsfm_msm_save(const struct marsfm_msm_t *msm, const char *path);

/**
 * Reads a model that marsfm wrote and binds it to the caller's atoms: frames are then assigned in
 * the order of this topology, whatever order the model was built in. Names and numbers of the
 * residues must be the model's.
 *
 * - path: the file, UTF-8.
 * - xyz: positions of some frame, nm, in the order of the topology: they tell what is bonded.
 * - box_nm: as in marsfm_session_jump.
 * - msm: takes the new model; free it with marsfm_msm_free.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT, MARSFM_ERROR_NOT_FINITE,
 * MARSFM_ERROR_FILE or MARSFM_ERROR_MSM (of another molecule). [any thread]
 *
 * Example: marsfm_msm_load("peptide.msm.safetensors", topology, &xyz, NULL, &msm);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_load(const char *path,
                                const struct marsfm_topology_t *topology,
                                const struct marsfm_xyz_in_t *xyz,
                                const double *box_nm,
                                struct marsfm_msm_t **msm);

/**
 * Frees a Markov model; NULL is fine. [any thread]
 *
 * Example: marsfm_msm_free(msm);
 */
void marsfm_msm_free(struct marsfm_msm_t *msm);

/**
 * Tells what a Markov model holds.
 *
 * Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
 *
 * Example: info.struct_size = sizeof info; marsfm_msm_info(msm, &info);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_info(const struct marsfm_msm_t *msm,
                                struct marsfm_msm_info_t *info);

/**
 * Tells the states of a frame.
 *
 * - xyz: positions of all atoms, nm, in the order that the model is bound to: see how it was made.
 * - box_nm: as in marsfm_session_jump.
 * - microstate, macrostate: take the states, from 0; -1 if the frame belongs to none. Either may
 *   be NULL.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT, MARSFM_ERROR_NOT_FINITE or
 * MARSFM_ERROR_MSM. [any thread]
 *
 * Example: marsfm_msm_assign(msm, &xyz, NULL, NULL, &macrostate);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_assign(const struct marsfm_msm_t *msm,
                                  const struct marsfm_xyz_in_t *xyz,
                                  const double *box_nm,
                                  int32_t *microstate,
                                  int32_t *macrostate);

/**
 * Copies the transition matrix between macrostates at the pair lag: n x n probabilities, rows
 * (from) one after the other, n being n_macrostates. Capacity and needed count doubles.
 *
 * - capacity: 0 only asks for the size; buffer may then be NULL.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
 *
 * Example: marsfm_msm_transition_matrix(msm, t, sizeof t / sizeof *t, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_transition_matrix(const struct marsfm_msm_t *msm,
                                             double *buffer,
                                             size_t capacity,
                                             size_t *needed);

/**
 * Copies the stationary probability of each macrostate. Capacity and needed count doubles, as in
 * marsfm_msm_transition_matrix.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
 *
 * Example: marsfm_msm_stationary(msm, pi, n_macrostates, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_stationary(const struct marsfm_msm_t *msm,
                                      double *buffer,
                                      size_t capacity,
                                      size_t *needed);

/**
 * Copies the implied timescales of the microstate model at its lag, ps, slowest first, at most
 * ten. Capacity and needed count doubles, as in marsfm_msm_transition_matrix.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_SIZE or MARSFM_ERROR_MSM. [any thread]
 *
 * Example: marsfm_msm_timescales(msm, ps, 10, &n);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_timescales(const struct marsfm_msm_t *msm,
                                      double *buffer,
                                      size_t capacity,
                                      size_t *needed);

/**
 * Copies what a user should know about a Markov model (states left out, no metastability and the
 * like), one line each; empty if there is nothing. For buffer, capacity and needed see
 * marsfm_last_error_message.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
 *
 * Example: marsfm_msm_warnings(msm, text, sizeof text, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_warnings(const struct marsfm_msm_t *msm,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *needed);

/**
 * Copies the number of frames of each state: where MD has been, and where it has not.
 *
 * - level: MARSFM_MICROSTATES or MARSFM_MACROSTATES.
 * - buffer, capacity, needed: as in marsfm_msm_transition_matrix.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
 *
 * Example: marsfm_msm_populations(msm, MARSFM_MICROSTATES, frames, n_microstates, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_populations(const struct marsfm_msm_t *msm,
                                       int32_t level,
                                       double *buffer,
                                       size_t capacity,
                                       size_t *needed);

/**
 * Builds a Markov model of a caller's own features: TICA, k-means microstates, PCCA+ macrostates.
 * Trajectories stay apart. Such a model has no atoms: states come from marsfm_msm_assign_rows.
 *
 * - rows: n_trajectories matrices, row-major, n_features doubles to a frame.
 * - n_frames: frames of each of them.
 * - options: lags in ps and sizes; frame_ps must be set; features and feature_plugin must be NULL.
 * - msm: takes the new model; free it with marsfm_msm_free.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_MSM (a number that is not finite, with its
 * trajectory and frame; a lag longer than the data and the like). [any thread]
 *
 * Example: marsfm_msm_build_from_rows(runs, lengths, 4, 12, &options, &msm);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_build_from_rows(const double *const *rows,
                                           const size_t *n_frames,
                                           size_t n_trajectories,
                                           size_t n_features,
                                           const struct marsfm_msm_options_t *options,
                                           struct marsfm_msm_t **msm);

/**
 * Tells the states of rows of features, for any model: rows must be what it was built of.
 *
 * - rows: n_frames x n_features doubles, row-major.
 * - microstates, macrostates: take n_frames states each, from 0; -1 for a frame of none. Either may
 *   be NULL.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_MSM (another number of features, a number
 * that is not finite). [any thread]
 *
 * Example: marsfm_msm_assign_rows(msm, rows, 1000, 12, NULL, macrostates);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_msm_assign_rows(const struct marsfm_msm_t *msm,
                                       const double *rows,
                                       size_t n_frames,
                                       size_t n_features,
                                       int32_t *microstates,
                                       int32_t *macrostates);

/**
 * Begins an adaptive loop in a new folder: checks the settings (the TOML file of `marsfm loop
 * init`), opens engine and proposer, writes the journal. No MD is run.
 *
 * - settings_path: the TOML file, UTF-8; paths in it are meant from its own folder.
 * - folder: the loop's folder, new or empty, UTF-8.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, or MARSFM_ERROR_LOOP with what to mend. [any thread]
 *
 * Example: marsfm_loop_begin("loop.toml", "my-loop");
 */
MARSFM_MUST_USE marsfm_status_t marsfm_loop_begin(const char *settings_path, const char *folder);

/**
 * Runs a loop, or goes on with it, on the calling thread: as long as its MD takes. The process may
 * be killed at any time; calling again goes on.
 *
 * - folder: the loop's folder, UTF-8. One process at a time runs a loop.
 * - max_epochs: stop after so many; 0 for all.
 * - max_seconds: stop before a run that would not fit into so much wall time; 0 for no limit.
 * - progress, user_data: told how far it is; NULL for silence.
 * - ended: takes why it came back, one of MARSFM_LOOP_...
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, or MARSFM_ERROR_LOOP (an engine that hangs, a full disk,
 * a missing file; nothing that was recorded is lost). [any thread]
 *
 * Example: marsfm_loop_run("my-loop", 0, 3600.0, NULL, NULL, &ended);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_loop_run(const char *folder,
                                uint64_t max_epochs,
                                double max_seconds,
                                marsfm_loop_progress_t progress,
                                void *user_data,
                                int32_t *ended);

/**
 * Copies what a loop has found, as a JSON object: words (an array of sentences), epochs (how many
 * are over), runs, md_ns (all MD, heads and preparation included), and last, the last epoch's
 * record with populations, free energies (kJ/mol), timescales and passage times (ps), each with its
 * 95 % interval; null before the first. Works while another process runs the loop. For buffer,
 * capacity and needed see marsfm_last_error_message.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_SIZE or MARSFM_ERROR_LOOP. [any thread]
 *
 * Example: marsfm_loop_status("my-loop", json, sizeof json, NULL);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_loop_status(const char *folder,
                                   char *buffer,
                                   size_t capacity,
                                   size_t *needed);

/**
 * Takes unbiased MD of the same system into a loop, as runs that cost nothing.
 *
 * - trajectory_paths: n_trajectories files, each continuous, UTF-8.
 * - topology_path: their atoms, where they are not the engine's; else NULL.
 * - head_ps: time at the beginning of each that does not count.
 * - frame_ps: time between their frames, where the files cannot tell; else 0.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_LOOP. [any thread]
 *
 * Example: marsfm_loop_import("my-loop", files, 2, NULL, 10.0, 0.0);
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_loop_import(const char *folder,
                                   const char *const *trajectory_paths,
                                   size_t n_trajectories,
                                   const char *topology_path,
                                   double head_ps,
                                   double frame_ps);

/**
 * Writes a report of loops on one system side by side: report.html, JSON and CSV, all offline.
 *
 * - folders: n_folders folders of loops, UTF-8.
 * - out: folder to write into, UTF-8; NULL for `report` in the first loop's folder.
 *
 * Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_LOOP. [any thread]
 *
 * Example: marsfm_loop_report(folders, 2, "report");
 */
MARSFM_MUST_USE
marsfm_status_t marsfm_loop_report(const char *const *folders,
                                   size_t n_folders,
                                   const char *out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MARSFM_H */
