//! Sessions: a model bound to a topology. Jumps and trees.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

use marsfm_core::session::{
    self as core, Session as CoreSession, SessionSettings, Solver, Start, TreeSpec,
};

use crate::arguments::*;
use crate::batch::Batch;
use crate::model::Model;
use crate::positions;
use crate::status::{Checked, Failure, guard};
use crate::topology::Topology;
use crate::types::*;

/// A model bound to a topology, opaque. One thread at a time; make one session per thread.
pub struct Session {
    core: CoreSession,
    busy: AtomicBool,
}

/// Held while a session works.
struct InUse<'a>(&'a AtomicBool);

impl<'a> InUse<'a> {
    fn claim(session: &'a Session) -> Checked<Self> {
        if session.busy.swap(true, Ordering::Acquire) {
            return Err(Failure::new(
                MARSFM_ERROR_BUSY,
                "the session is in use; make one session per thread",
            ));
        }
        Ok(Self(&session.busy))
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Binds a model to a topology. Both may be freed afterwards: the session keeps what it needs.
///
/// - options: what is known of the caller's system, and the integrator; NULL for the defaults.
/// - session: takes the new session; free it with marsfm_session_free.
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
///
/// Example: marsfm_session_new(model, topology, NULL, &session);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_session_new(
    model: *const Model,
    topology: *const Topology,
    options: *const SessionOptions,
    session: *mut *mut Session,
) -> Status {
    guard("marsfm_session_new", || {
        output(session, "session")?;
        // SAFETY: as the C contract.
        let (model, topology, options) = unsafe {
            (
                handle(model, "model")?,
                handle(topology, "topology")?,
                read_options(options, "options")?,
            )
        };
        // SAFETY: as the C contract.
        let settings = unsafe { settings(&options)? };
        let core = CoreSession::new(model.0.clone(), topology.0.clone(), settings)?;
        // SAFETY: checked above.
        unsafe { give(session, Session { core, busy: AtomicBool::new(false) }) };
        Ok(())
    })
}

unsafe fn settings(options: &SessionOptions) -> Checked<SessionSettings> {
    let t = options.temperature_kelvin;
    if !(t.is_finite() && t >= 0.0) {
        return Err(Failure::argument(format!("options.temperature_kelvin is {t}")));
    }
    let steps = if options.solver_steps == 0 { 10 } else { options.solver_steps as usize };
    let tolerance = if options.solver_tolerance == 0.0 { 1e-5 } else { options.solver_tolerance };
    let solver = match options.solver {
        MARSFM_SOLVER_DEFAULT if options.solver_steps == 0 => core::DEFAULT_SOLVER,
        MARSFM_SOLVER_DEFAULT => Solver::Midpoint { steps },
        MARSFM_SOLVER_EULER => Solver::Euler { steps },
        MARSFM_SOLVER_MIDPOINT => Solver::Midpoint { steps },
        MARSFM_SOLVER_HEUN => Solver::Heun { steps },
        MARSFM_SOLVER_RK4 => Solver::Rk4 { steps },
        MARSFM_SOLVER_DOPRI5 => Solver::Dopri5 { rtol: tolerance, atol: tolerance },
        other => return Err(Failure::argument(format!("options.solver is {other}"))),
    };
    let mut settings = SessionSettings { solver, ..SessionSettings::default() };
    settings.domain.temperature_kelvin = (t > 0.0).then_some(t);
    // SAFETY: as the C contract: NULL or C strings.
    unsafe {
        let owned = |t: Option<&str>| t.map(str::to_owned);
        settings.domain.force_field =
            owned(optional_text(options.force_field, "options.force_field")?);
        settings.domain.solvent = owned(optional_text(options.solvent, "options.solvent")?);
    }
    Ok(settings)
}

/// Frees a session; NULL is fine. Batches drawn with it stay. [not while it is in use]
///
/// Example: marsfm_session_free(session);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_session_free(session: *mut Session) {
    // SAFETY: as the C contract: made by this library, freed once.
    unsafe { free(session) };
}

/// Draws n jumps from one conformation: n conformations that the molecule could have one lag time
/// later, each judged. Rejected ones are in the batch too, marked. The same model, positions and
/// rng_seed give the same samples on one type of CPU, whatever the number of threads.
///
/// - xyz: positions of all atoms, nm, in the order of the topology.
/// - box_nm: cell vectors as the rows of a 3 x 3 matrix, nm; NULL without periodicity. The molecule
///   may be split over the boundary; samples are whole.
/// - n: number of jumps, 1 to 1000000.
/// - rng_seed: any number.
/// - batch: takes the new batch; free it with marsfm_batch_free.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT, MARSFM_ERROR_NOT_FINITE,
/// MARSFM_ERROR_TOPOLOGY (names the residue that is incomplete, unknown or not bonded),
/// MARSFM_ERROR_MODEL or MARSFM_ERROR_BUSY. [one thread per session]
///
/// Example: marsfm_session_jump(session, &xyz, NULL, 8, 42, &batch);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_session_jump(
    session: *mut Session,
    xyz: *const XyzIn,
    box_nm: *const f64,
    n: usize,
    rng_seed: u64,
    batch: *mut *mut Batch,
) -> Status {
    guard("marsfm_session_jump", || {
        output(batch, "batch")?;
        // SAFETY: as the C contract.
        let session = unsafe { handle(session, "session")? };
        let _in_use = InUse::claim(session)?;
        // SAFETY: as the C contract.
        let (positions_nm, cell_nm) =
            unsafe { (positions::read(xyz, session.core.atoms().len())?, positions::cell(box_nm)) };
        let start = Start { positions_nm: &positions_nm, cell_nm };
        let drawn = session.core.jump(&start, n, rng_seed)?;
        // SAFETY: checked above.
        unsafe { give(batch, Batch(drawn)) };
        Ok(())
    })
}

/// Grows a tree of jumps: jumps from the start, then from every accepted sample, level by level.
/// The batch tells parent and depth of every sample.
///
/// - xyz, box_nm, rng_seed, batch: as in marsfm_session_jump.
/// - options: the shape of the tree; roots, branching, depth and budget are 1 or more.
///
/// Returns what marsfm_session_jump returns, or MARSFM_ERROR_STOPPED. [one thread per session]
///
/// Example: marsfm_session_tree(session, &xyz, NULL, &options, 42, &batch);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_session_tree(
    session: *mut Session,
    xyz: *const XyzIn,
    box_nm: *const f64,
    options: *const TreeOptions,
    rng_seed: u64,
    batch: *mut *mut Batch,
) -> Status {
    guard("marsfm_session_tree", || {
        output(batch, "batch")?;
        // SAFETY: as the C contract.
        let (session, options) =
            unsafe { (handle(session, "session")?, read_record(options, "options")?) };
        let size = |what: &str, n: u64| {
            usize::try_from(n).map_err(|_| Failure::argument(format!("options.{what} is {n}")))
        };
        let spec = TreeSpec {
            roots: size("roots", options.roots)?,
            branching: size("branching", options.branching)?,
            depth: size("depth", options.depth)?,
            budget: size("budget", options.budget)?,
            retries: size("retries", options.retries)?,
        };
        let _in_use = InUse::claim(session)?;
        // SAFETY: as the C contract.
        let (positions_nm, cell_nm) =
            unsafe { (positions::read(xyz, session.core.atoms().len())?, positions::cell(box_nm)) };
        let start = Start { positions_nm: &positions_nm, cell_nm };
        let go_on = |done: usize, budget: usize| match options.progress {
            None => true,
            // SAFETY: as the C contract: callable with its user_data during this call.
            Some(progress) => unsafe {
                progress(options.user_data, done as u64, budget as u64) == 0
            },
        };
        let grown = session.core.tree(&start, &spec, rng_seed, go_on)?;
        // SAFETY: checked above.
        unsafe { give(batch, Batch(grown)) };
        Ok(())
    })
}
