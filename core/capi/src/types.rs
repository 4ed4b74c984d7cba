//! What crosses the boundary: versions, codes, structs. Sizes and offsets are frozen at the end.

use std::ffi::{c_char, c_void};

/// Major version of the ABI: 0 until the first release, then changed only by what breaks callers.
pub const MARSFM_ABI_MAJOR: u32 = 0;
/// Minor version of the ABI: grows when something is added.
pub const MARSFM_ABI_MINOR: u32 = 5;

/// Outcome of a call: MARSFM_OK or one of MARSFM_ERROR_...
pub type Status = i32;

/// Success.
pub const MARSFM_OK: i32 = 0;
/// An argument is unusable: NULL, out of range, not UTF-8, an unknown choice, a wrong struct_size.
pub const MARSFM_ERROR_ARGUMENT: i32 = 1;
/// The buffer is too small; `needed` was written, nothing else.
pub const MARSFM_ERROR_SIZE: i32 = 2;
/// A coordinate is NaN or infinite; the message names the atom's index.
pub const MARSFM_ERROR_NOT_FINITE: i32 = 3;
/// Another number of atoms than the topology has.
pub const MARSFM_ERROR_COUNT: i32 = 4;
/// The handle is in use by another thread.
pub const MARSFM_ERROR_BUSY: i32 = 5;
/// The library does not have the ABI version asked for.
pub const MARSFM_ERROR_VERSION: i32 = 6;
/// The caller's progress function stopped the work.
pub const MARSFM_ERROR_STOPPED: i32 = 7;
/// A job has not ended yet.
pub const MARSFM_ERROR_PENDING: i32 = 8;
/// A file cannot be read, or is not what it should be.
pub const MARSFM_ERROR_FILE: i32 = 100;
/// The atoms or positions are no chain that can be sampled; the message names the residue.
pub const MARSFM_ERROR_TOPOLOGY: i32 = 200;
/// The model is unusable, for this request or at all.
pub const MARSFM_ERROR_MODEL: i32 = 300;
/// The device asked for is not there, or not in this build.
pub const MARSFM_ERROR_DEVICE: i32 = 301;
/// No Markov model can be made of this data with these lags.
pub const MARSFM_ERROR_MSM: i32 = 400;
/// An adaptive loop cannot begin or go on: its settings, its engine, its disk; see the message.
pub const MARSFM_ERROR_LOOP: i32 = 500;
/// A defect of marsfm was caught; please report the message.
pub const MARSFM_ERROR_INTERNAL: i32 = 900;

/// All epochs of a loop are over.
pub const MARSFM_LOOP_COMPLETE: i32 = 0;
/// The MD budget of a loop is spent.
pub const MARSFM_LOOP_BUDGET: i32 = 1;
/// The model of a loop has settled.
pub const MARSFM_LOOP_SETTLED: i32 = 2;
/// The limits of the call; calling again goes on.
pub const MARSFM_LOOP_LIMITS: i32 = 3;
/// The progress function stopped the loop; calling again goes on.
pub const MARSFM_LOOP_STOPPED: i32 = 4;

/// Log level: a call failed.
pub const MARSFM_LOG_ERROR: i32 = 1;
/// Log level: the result is usable, with a remark.
pub const MARSFM_LOG_WARNING: i32 = 2;
/// Log level: what is done.
pub const MARSFM_LOG_INFO: i32 = 3;

/// States of k-means.
pub const MARSFM_MICROSTATES: i32 = 1;
/// States of PCCA+.
pub const MARSFM_MACROSTATES: i32 = 2;

/// Element type of positions: float.
pub const MARSFM_F32: i32 = 1;
/// Element type of positions: double.
pub const MARSFM_F64: i32 = 2;

/// Integrator: the library's choice, at present MARSFM_SOLVER_ADAMS with 16 steps.
pub const MARSFM_SOLVER_DEFAULT: i32 = 0;
/// Integrator: Euler, fixed steps.
pub const MARSFM_SOLVER_EULER: i32 = 1;
/// Integrator: midpoint rule, fixed steps.
pub const MARSFM_SOLVER_MIDPOINT: i32 = 2;
/// Integrator: Heun, fixed steps.
pub const MARSFM_SOLVER_HEUN: i32 = 3;
/// Integrator: classical Runge-Kutta, fixed steps.
pub const MARSFM_SOLVER_RK4: i32 = 4;
/// Integrator: Dormand-Prince 5(4), steps chosen for each sample by itself.
pub const MARSFM_SOLVER_DOPRI5: i32 = 5;
/// Integrator: Adams predictor and corrector, fixed steps that shorten towards t = 1, an evaluation
/// each.
pub const MARSFM_SOLVER_ADAMS: i32 = 6;

/// A sample that an engine can start from.
pub const MARSFM_SAMPLE_ACCEPTED: i32 = 0;
/// A sample that is strained (see repair_reasons): minimise before MD.
pub const MARSFM_SAMPLE_NEEDS_REPAIR: i32 = 1;
/// A sample not to be used (see rejected_reasons).
pub const MARSFM_SAMPLE_REJECTED: i32 = 2;

/// Reason: a coordinate is NaN or infinite.
pub const MARSFM_REASON_NOT_FINITE: u32 = 1;
/// Reason: a peptide bond (or two neighbouring CA atoms) too long.
pub const MARSFM_REASON_BROKEN_CHAIN: u32 = 2;
/// Reason: an omega torsion far from 0 and 180 degrees.
pub const MARSFM_REASON_OMEGA: u32 = 4;
/// Reason: heavy atoms of different residues too close.
pub const MARSFM_REASON_CLASH: u32 = 8;
/// Reason: a mirrored centre.
pub const MARSFM_REASON_CHIRALITY: u32 = 16;
/// Reason: a bond passes through a ring.
pub const MARSFM_REASON_RING_PIERCED: u32 = 32;

/// A prepared seed that minimisation only polished: run it.
pub const MARSFM_SEED_VALID: i32 = 0;
/// A prepared seed that minimisation mended within the limits: run it.
pub const MARSFM_SEED_REPAIRED: i32 = 1;
/// A prepared seed that is not, or no longer, the conformation that was drawn: do not run it.
pub const MARSFM_SEED_REJECTED: i32 = 2;

/// Remark on a prepared seed: the sample itself asked for repair.
pub const MARSFM_SEED_SAMPLE: u32 = 1;
/// Remark: the heavy atoms moved by more than 0.05 nm (root mean square).
pub const MARSFM_SEED_MOVED: u32 = 2;
/// Remark: its energy with the heavy atoms restrained is above the ensemble's.
pub const MARSFM_SEED_STRAINED: u32 = 4;
/// Rejected: a centre was mirrored.
pub const MARSFM_SEED_CHIRALITY: u32 = 8;
/// Rejected: a peptide bond changed between cis and trans.
pub const MARSFM_SEED_OMEGA: u32 = 16;
/// Rejected: a backbone torsion moved by more than 30 degrees.
pub const MARSFM_SEED_TORSION: u32 = 32;
/// Rejected: its energy is far above the ensemble's, or not finite; or a disulphide is broken.
pub const MARSFM_SEED_ENERGY: u32 = 64;
/// Rejected: an atom still feels too large a force.
pub const MARSFM_SEED_FORCE: u32 = 128;

/// Text of a model: SHA-256 of its file, hexadecimal.
pub const MARSFM_MODEL_SHA256: i32 = 1;
/// Text of a model: force field of its training data.
pub const MARSFM_MODEL_FORCE_FIELD: i32 = 2;
/// Text of a model: solvent of its training data.
pub const MARSFM_MODEL_SOLVENT: i32 = 3;
/// Text of a model: termini of its training data, "charged", "capped" or "mixed".
pub const MARSFM_MODEL_TERMINI: i32 = 4;

/// One atom as the caller names it. Texts are UTF-8 and borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Atom {
    /// sizeof(marsfm_atom_t); the same in all atoms of an array.
    pub struct_size: usize,
    /// Atom name ("CA", "HB2"); the names of the PDB, Amber, CHARMM and GROMACS are understood.
    pub name: *const c_char,
    /// Element symbol, or NULL to go by the name.
    pub element: *const c_char,
    /// Residue name ("ALA", "HIE", "HOH").
    pub residue_name: *const c_char,
    /// Chain identifier, or NULL.
    pub chain: *const c_char,
    /// Insertion code, or NULL.
    pub insertion: *const c_char,
    /// Residue number.
    pub residue_number: i32,
    /// 0.
    pub reserved: i32,
}

/// What a topology holds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TopologyInfo {
    /// sizeof(marsfm_topology_info_t), set by the caller.
    pub struct_size: usize,
    /// Atoms, solvent and all.
    pub n_atoms: u64,
    /// Amino acids (caps not counted).
    pub n_residues: u64,
}

/// How to load a model. All zero (but struct_size) is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ModelOptions {
    /// sizeof(marsfm_model_options_t), set by the caller.
    pub struct_size: usize,
    /// "cpu", or NULL for it; "cuda", "cuda:1" (the second card), "cuda/bf16" (matrix products in
    /// bfloat16); "auto": CUDA if it can be used,
    /// else the CPU. CUDA needs a card, its driver and the plugin "cuda"; without them the call
    /// gives MARSFM_ERROR_DEVICE and the reason.
    pub device: *const c_char,
}

/// What a model was trained to reproduce.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ModelInfo {
    /// sizeof(marsfm_model_info_t), set by the caller.
    pub struct_size: usize,
    /// Time that one jump stands for, ps.
    pub lag_ps: f64,
    /// Temperature of the training data, K; of a model that takes a temperature, that of draws which
    /// ask for none.
    pub temperature_kelvin: f64,
    /// Shortest chain of the training data, residues.
    pub min_residues: u64,
    /// Longest chain of the training data, residues.
    pub max_residues: u64,
    /// 1 if the model takes a temperature, which sessions choose; 0 if it knows one alone.
    pub takes_temperature: u32,
    /// 0.
    pub reserved: u32,
    /// Lowest temperature of the training data, K.
    pub min_temperature_kelvin: f64,
    /// Highest temperature of the training data, K.
    pub max_temperature_kelvin: f64,
}

/// Options of a session. All zero (but struct_size) is the default: nothing known of the caller's
/// system, the default integrator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SessionOptions {
    /// sizeof(marsfm_session_options_t), set by the caller.
    pub struct_size: usize,
    /// Temperature of the caller's system, K; 0 if not known. A model that takes a temperature draws
    /// at this one, or, if it is 0, at that of marsfm_model_info_t.
    pub temperature_kelvin: f64,
    /// Force field of the caller's system, or NULL if not known.
    pub force_field: *const c_char,
    /// Solvent of the caller's system, or NULL if not known.
    pub solvent: *const c_char,
    /// One of MARSFM_SOLVER_...
    pub solver: i32,
    /// Steps of a fixed-step integrator; 0 means 16 of Adams, 10 of the others.
    pub solver_steps: u32,
    /// Relative and absolute tolerance of MARSFM_SOLVER_DOPRI5; 0 means 1e-5.
    pub solver_tolerance: f64,
    /// 0: the chains of accepted samples are closed and tight contacts opened by the smallest
    /// motion found, which marsfm_sample_info_t tells. Anything else: samples as they were drawn.
    pub as_drawn: u32,
    /// 0.
    pub reserved: u32,
}

/// Positions lent to the library for the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct XyzIn {
    /// sizeof(marsfm_xyz_in_t), set by the caller.
    pub struct_size: usize,
    /// x of the first atom, followed by y and z; nm. No alignment is needed.
    pub data_nm: *const c_void,
    /// Number of atoms; must be that of the topology.
    pub n_atoms: usize,
    /// Bytes from one atom's x to the next one's; 0 means packed (three elements).
    pub stride_bytes: usize,
    /// MARSFM_F32 or MARSFM_F64.
    pub dtype: i32,
    /// 0.
    pub reserved: i32,
}

/// Room for positions, lent to the library for the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct XyzOut {
    /// sizeof(marsfm_xyz_out_t), set by the caller.
    pub struct_size: usize,
    /// Takes x of the first atom, followed by y and z; nm. No alignment is needed.
    pub data_nm: *mut c_void,
    /// Number of atoms that there is room for; must be that of the topology.
    pub n_atoms: usize,
    /// Bytes from one atom's x to the next one's; 0 means packed (three elements).
    pub stride_bytes: usize,
    /// MARSFM_F32 or MARSFM_F64.
    pub dtype: i32,
    /// 0.
    pub reserved: i32,
}

/// Told how far a long call is: draws done and the most that will be done. Runs on the calling
/// thread, between levels of the tree; must not call into marsfm with the same session. Returning
/// anything but 0 stops the work: the call fails with MARSFM_ERROR_STOPPED.
pub type Progress =
    Option<unsafe extern "C" fn(user_data: *mut c_void, done: u64, budget: u64) -> i32>;

/// Told how far a loop is: what is being done (UTF-8, lives for the call), epoch from 0, of how many,
/// and the part of all MD that is done, 0 to 1. Runs on the calling thread. Returning anything but 0
/// stops the loop at a point from which it can go on.
pub type LoopProgress = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        stage: *const c_char,
        epoch: u64,
        epochs: u64,
        done: f64,
    ) -> i32,
>;

/// Told what the library does, see marsfm_set_log. The message is UTF-8 and lives for the call.
pub type Log =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char) -> i32>;

/// The shape of a tree of jumps.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TreeOptions {
    /// sizeof(marsfm_tree_options_t), set by the caller.
    pub struct_size: usize,
    /// Children of the start.
    pub roots: u64,
    /// Children of every accepted later sample.
    pub branching: u64,
    /// Levels below the start.
    pub depth: u64,
    /// Most draws, rejected ones counted.
    pub budget: u64,
    /// How often a rejected draw is repeated from the same parent.
    pub retries: u64,
    /// Called between levels, or NULL.
    pub progress: Progress,
    /// Handed to progress.
    pub user_data: *mut c_void,
}

/// Summary of a batch.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BatchInfo {
    /// sizeof(marsfm_batch_info_t), set by the caller.
    pub struct_size: usize,
    /// Samples, rejected ones included.
    pub n_samples: u64,
    /// Samples that are not rejected.
    pub n_accepted: u64,
    /// Residues of the chain.
    pub n_residues: u64,
    /// Atoms of the topology.
    pub n_atoms: u64,
    /// Atoms beside the chain (solvent, ions, ligands): they stay where they are.
    pub n_bystanders: u64,
    /// Ways in which the request differs from what the model was trained on.
    pub n_differences: u64,
}

/// One sample's origin and verdict.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SampleInfo {
    /// sizeof(marsfm_sample_info_t), set by the caller.
    pub struct_size: usize,
    /// Sample of the batch that it was drawn from; -1 for the start.
    pub parent: i64,
    /// Number of jumps from the start: 1 for its children.
    pub depth: u64,
    /// Number of the draw: with model, start and rng_seed it reproduces the sample.
    pub id: u64,
    /// One of MARSFM_SAMPLE_...
    pub status: i32,
    /// Why it is rejected: MARSFM_REASON_... added up.
    pub rejected_reasons: u32,
    /// What minimisation has to mend: MARSFM_REASON_... added up.
    pub repair_reasons: u32,
    /// Pairs of heavy atoms closer than 0.8 of their summed van der Waals radii.
    pub tight_contacts: u32,
    /// Largest deviation of a peptide bond from 0.133 nm, nm.
    pub worst_peptide_bond_nm: f64,
    /// Smallest distance of heavy atoms of different, not bonded residues, nm; infinity if none.
    pub closest_contact_nm: f64,
    /// Atoms beside the chain, which stayed where they are.
    pub n_bystanders: u64,
    /// Root-mean-square move of the heavy atoms by closing the chain, nm; 0 as drawn.
    pub idealised_nm: f64,
}

/// How to build a Markov model. All zero (but struct_size) is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MsmOptions {
    /// sizeof(marsfm_msm_options_t), set by the caller.
    pub struct_size: usize,
    /// Time between frames, ps, for files that cannot tell; 0 to go by the files.
    pub frame_ps: f64,
    /// Lag of TICA, ps; 0 means 10.
    pub tica_lag_ps: f64,
    /// Lag of the microstate model, ps; 0 means 10.
    pub msm_lag_ps: f64,
    /// Lag of the macrostate transition matrix, ps; 0 means 10.
    pub pair_lag_ps: f64,
    /// Microstates (k-means centres); 0 means 100.
    pub n_microstates: u64,
    /// Macrostates (PCCA+); 0 means 10. Fewer may be found.
    pub n_macrostates: u64,
    /// Random seed of k-means; 0 means 137.
    pub rng_seed: u64,
    /// Features side by side, names separated by commas: "torsions" (backbone and side chains),
    /// "backbone", "ca-distances", "heavy-distances", "contacts", "rg-ss" (radius of gyration, helix
    /// and strand content), "ss8" (DSSP's eight classes). NULL means "torsions".
    pub features: *const c_char,
    /// Featurizer plugin instead of them, "NAME" or "NAME=OPTIONS"; NULL for none.
    pub feature_plugin: *const c_char,
}

/// What a Markov model holds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MsmInfo {
    /// sizeof(marsfm_msm_info_t), set by the caller.
    pub struct_size: usize,
    /// Atoms of a frame.
    pub n_atoms: u64,
    /// Frames that it was built from.
    pub n_frames: u64,
    /// Microstates.
    pub n_microstates: u64,
    /// Macrostates that are not empty.
    pub n_macrostates: u64,
    /// Time between frames, ps.
    pub frame_ps: f64,
    /// Lag of the microstate model and of its timescales, ps.
    pub msm_lag_ps: f64,
    /// Lag of the macrostate transition matrix, ps.
    pub pair_lag_ps: f64,
    /// Numbers in a row of its features.
    pub n_features: u64,
}

/// How far the head and the rest of a trajectory have come.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TrajectoryInfo {
    /// sizeof(marsfm_trajectory_info_t), set by the caller.
    pub struct_size: usize,
    /// Frames taken, the head included.
    pub n_seen: u64,
    /// Frames that count.
    pub n_kept: u64,
    /// Atoms of a frame.
    pub n_atoms: u64,
    /// Time between frames, ps.
    pub frame_ps: f64,
}

/// How trajectories that were added to a Markov model differ from what it was built on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MsmDrift {
    /// sizeof(marsfm_msm_drift_t), set by the caller.
    pub struct_size: usize,
    /// Frames that the model had.
    pub frames_before: u64,
    /// Frames that came.
    pub frames_added: u64,
    /// Microstates that are connected now and were not before.
    pub newly_connected: u64,
    /// Mean squared distance to the nearest centre, new frames over old ones: near 1 they fit.
    pub distance_ratio: f64,
    /// Jensen-Shannon distance between the microstates of old and new frames, 0 to 0.83.
    pub population_distance: f64,
    /// 1 if the model should be built anew: the new frames are where no centre is.
    pub centres_outgrown: i32,
    /// 0.
    pub reserved: i32,
}

/// Energies of a structure that an engine has minimised, first with the heavy atoms restrained.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Minimised {
    /// sizeof(marsfm_minimised_t); the same in all structs of an array.
    pub struct_size: usize,
    /// Potential energy before, kJ/mol.
    pub before_kj_mol: f64,
    /// Potential energy (without the restraints) with the heavy atoms restrained, kJ/mol.
    pub restrained_kj_mol: f64,
    /// Potential energy after the free minimisation, kJ/mol.
    pub after_kj_mol: f64,
    /// Largest force on an atom after it, kJ/mol/nm.
    pub max_force_kj_mol_nm: f64,
}

/// What became of a sample that an engine has prepared.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SeedInfo {
    /// sizeof(marsfm_seed_info_t), set by the caller.
    pub struct_size: usize,
    /// MARSFM_SEED_VALID, MARSFM_SEED_REPAIRED or MARSFM_SEED_REJECTED.
    pub status: i32,
    /// MARSFM_SEED_SAMPLE and the like, added up.
    pub reasons: u32,
    /// Root-mean-square move of the heavy atoms, nm.
    pub rms_nm: f64,
    /// Largest move of a phi, psi or omega torsion, degrees.
    pub max_torsion_degrees: f64,
}

// What is frozen: sizes and last offsets on 64-bit machines.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Atom>() == 56 && offset_of!(Atom, residue_number) == 48);
    assert!(size_of::<TopologyInfo>() == 24);
    assert!(size_of::<ModelOptions>() == 16);
    assert!(size_of::<ModelInfo>() == 64);
    assert!(size_of::<SessionOptions>() == 56 && offset_of!(SessionOptions, solver) == 32);
    assert!(size_of::<XyzIn>() == 40 && offset_of!(XyzIn, dtype) == 32);
    assert!(size_of::<XyzOut>() == 40 && offset_of!(XyzOut, dtype) == 32);
    assert!(size_of::<TreeOptions>() == 64 && offset_of!(TreeOptions, user_data) == 56);
    assert!(size_of::<BatchInfo>() == 56);
    assert!(size_of::<SampleInfo>() == 80 && offset_of!(SampleInfo, n_bystanders) == 64);
    assert!(size_of::<MsmOptions>() == 80);
    assert!(size_of::<MsmInfo>() == 72);
    assert!(size_of::<TrajectoryInfo>() == 40);
    assert!(size_of::<Minimised>() == 40);
    assert!(size_of::<SeedInfo>() == 32 && offset_of!(SeedInfo, max_torsion_degrees) == 24);
    assert!(size_of::<MsmDrift>() == 56 && offset_of!(MsmDrift, centres_outgrown) == 48);
};
