//! Sessions: a model bound to a topology. Jumps and trees.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use marsfm_core::session::{
    self as core, Batch as CoreBatch, Session as CoreSession, SessionError, SessionSettings,
    Solver, Start, TreeSpec,
};

use crate::arguments::*;
use crate::batch::Batch;
use crate::log::tell;
use crate::model::Model;
use crate::positions;
use crate::status::{Checked, Failure, guard};
use crate::topology::Topology;
use crate::types::*;

/// A model bound to a topology, opaque. One thread at a time; make one session per thread.
pub struct Session {
    pub(crate) core: Arc<CoreSession>,
    busy: AtomicBool,
    /// Differences from the model's domain were told to the log.
    told: AtomicBool,
}

/// A request whose input is copied.
pub(crate) struct Wanted {
    positions_nm: Vec<[f64; 3]>,
    cell_nm: Option<[[f64; 3]; 3]>,
    rng_seed: u64,
    shape: Shape,
}

enum Shape {
    Jumps(usize),
    Tree(TreeSpec),
}

impl Wanted {
    unsafe fn new(
        session: &Session,
        xyz: *const XyzIn,
        box_nm: *const f64,
        rng_seed: u64,
        shape: Shape,
    ) -> Checked<Self> {
        // SAFETY: as the C contract.
        let (positions_nm, cell_nm) =
            unsafe { (positions::read(xyz, session.core.atoms().len())?, positions::cell(box_nm)) };
        Ok(Self { positions_nm, cell_nm, rng_seed, shape })
    }

    pub(crate) unsafe fn jumps(
        session: &Session,
        xyz: *const XyzIn,
        box_nm: *const f64,
        n: usize,
        rng_seed: u64,
    ) -> Checked<Self> {
        // SAFETY: as the C contract.
        unsafe { Self::new(session, xyz, box_nm, rng_seed, Shape::Jumps(n)) }
    }

    pub(crate) unsafe fn tree(
        session: &Session,
        xyz: *const XyzIn,
        box_nm: *const f64,
        options: &TreeOptions,
        rng_seed: u64,
    ) -> Checked<Self> {
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
        // SAFETY: as the C contract.
        unsafe { Self::new(session, xyz, box_nm, rng_seed, Shape::Tree(spec)) }
    }

    /// The most draws.
    pub(crate) fn budget(&self) -> u64 {
        match &self.shape {
            Shape::Jumps(n) => *n as u64,
            Shape::Tree(spec) => spec.budget as u64,
        }
    }

    fn start(&self) -> Start<'_> {
        Start { positions_nm: &self.positions_nm, cell_nm: self.cell_nm }
    }

    /// Does the work, in pieces.
    pub(crate) fn draw(
        &self,
        core: &CoreSession,
        progress: impl FnMut(usize, usize) -> bool,
    ) -> Result<CoreBatch, SessionError> {
        match &self.shape {
            Shape::Jumps(n) => core.jump_watched(&self.start(), *n, self.rng_seed, progress),
            Shape::Tree(spec) => core.tree(&self.start(), spec, self.rng_seed, progress),
        }
    }
}

/// Held while a session works.
pub(crate) struct InUse<'a>(&'a AtomicBool);

impl<'a> InUse<'a> {
    pub(crate) fn claim(session: &'a Session) -> Checked<Self> {
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

impl Session {
    /// Tells the log once how requests differ from what the model knows.
    fn tell_differences(&self, batch: &CoreBatch) {
        if !self.told.swap(true, Ordering::Relaxed) {
            for difference in batch.differences() {
                tell(MARSFM_LOG_WARNING, &format!("request: {}", difference.message));
            }
        }
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
        unsafe {
            let (core, no) = (Arc::new(core), || AtomicBool::new(false));
            give(session, Session { core, busy: no(), told: no() });
        }
        Ok(())
    })
}

unsafe fn settings(options: &SessionOptions) -> Checked<SessionSettings> {
    let t = options.temperature_kelvin;
    if !(t.is_finite() && t >= 0.0) {
        return Err(Failure::argument(format!("options.temperature_kelvin is {t}")));
    }
    let given = |usual: usize| match options.solver_steps {
        0 => usual,
        steps => steps as usize,
    };
    let tolerance = if options.solver_tolerance == 0.0 { 1e-5 } else { options.solver_tolerance };
    let solver = match options.solver {
        MARSFM_SOLVER_DEFAULT if options.solver_steps == 0 => core::DEFAULT_SOLVER,
        MARSFM_SOLVER_DEFAULT | MARSFM_SOLVER_ADAMS => Solver::Adams { steps: given(16) },
        MARSFM_SOLVER_EULER => Solver::Euler { steps: given(10) },
        MARSFM_SOLVER_MIDPOINT => Solver::Midpoint { steps: given(10) },
        MARSFM_SOLVER_HEUN => Solver::Heun { steps: given(10) },
        MARSFM_SOLVER_RK4 => Solver::Rk4 { steps: given(10) },
        MARSFM_SOLVER_DOPRI5 => Solver::Dopri5 { rtol: tolerance, atol: tolerance },
        other => return Err(Failure::argument(format!("options.solver is {other}"))),
    };
    let as_drawn = options.as_drawn != 0;
    let mut settings = SessionSettings { solver, as_drawn, ..SessionSettings::default() };
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
        let wanted = unsafe { Wanted::jumps(session, xyz, box_nm, n, rng_seed)? };
        let drawn = session.core.jump(&wanted.start(), n, rng_seed)?;
        session.tell_differences(&drawn);
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
        let _in_use = InUse::claim(session)?;
        // SAFETY: as the C contract.
        let wanted = unsafe { Wanted::tree(session, xyz, box_nm, &options, rng_seed)? };
        let go_on = |done: usize, budget: usize| match options.progress {
            None => true,
            // SAFETY: as the C contract: callable with its user_data during this call.
            Some(progress) => unsafe {
                progress(options.user_data, done as u64, budget as u64) == 0
            },
        };
        let grown = wanted.draw(&session.core, go_on)?;
        session.tell_differences(&grown);
        // SAFETY: checked above.
        unsafe { give(batch, Batch(grown)) };
        Ok(())
    })
}
