//! Compute backends as an ordinary Rust trait, and the table that carries them across.
#![allow(unsafe_code)] // implements the C functions of the table

use crate::abi::*;
use crate::backend_abi::*;
use crate::engine_abi::TextSink;
use crate::error::{PluginError, guard};
use crate::records::text_from_c;
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

/// A plugin that computes surrogates. What each verb has to do is written at [`BackendService`].
pub trait BackendPlugin: Send + Sized + 'static {
    /// Kind of device.
    const NAME: &'static CStr;
    /// What is here, as the JSON object that [`BackendService::describe`] lays down.
    fn describe() -> Result<String, PluginError>;
    /// Loads a checkpoint.
    fn load(index: u32, bytes: &[u8]) -> Result<Self, PluginError>;
    /// Number of parameters.
    fn n_parameters(&self) -> usize;
    /// Draws that fill a call.
    fn draws_per_call(&mut self, n_residues: usize, n_frames: usize) -> usize;
    /// Draws: as many doubles as the request asks for.
    fn draw(&mut self, request: &Draw<'_>) -> Result<Vec<f64>, PluginError>;
    /// The velocity at a batch.
    fn velocity(&mut self, batch: &Points<'_>) -> Result<Vec<f64>, PluginError>;
    /// Mean loss and its gradient at a batch.
    fn gradients(
        &mut self,
        batch: &Points<'_>,
        lesson: &Lesson<'_>,
    ) -> Result<(f64, Vec<f32>), PluginError>;
}

/// See [`DrawRequest`]; lengths are checked.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// Residue types.
    pub residue_types: &'a [u8],
    /// Start conformations.
    pub starts: &'a [[f64; MARSFM_PLUGIN_RESIDUE_DOUBLES]],
    /// Windows per start.
    pub n_children: usize,
    /// Frames per window; 0: jumps.
    pub n_frames: usize,
    /// Seed of the noise.
    pub rng_seed: u64,
    /// Stream of the first draw.
    pub first_id: u64,
    /// The solver (JSON).
    pub solver: &'a str,
    /// Temperature, K.
    pub temperature_kelvin: Option<f64>,
}

/// See [`BackendBatch`]; lengths are checked.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// Samples P, frames T, residues L.
    pub dims: (usize, usize, usize),
    /// Start frames.
    pub frames: &'a [[f64; 12]],
    /// Residue types.
    pub residue_types: &'a [u8],
    /// Latents of conditioned tokens.
    pub x_cond: &'a [f64],
    /// Which tokens are.
    pub x_cond_mask: &'a [u8],
    /// Which residues are real.
    pub mask: Option<&'a [u8]>,
    /// Latents.
    pub x: &'a [f64],
    /// Times.
    pub t: &'a [f64],
    /// Temperatures, K.
    pub temperatures_kelvin: Option<&'a [f64]>,
}

/// See [`BackendLesson`]; lengths are checked.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// Velocities to learn.
    pub u: &'a [f64],
    /// Weights of the loss.
    pub weights: &'a [f64],
    /// Parameters.
    pub parameters: &'a [f32],
}

/// The table of a plugin type.
pub fn backend_table<P: BackendPlugin>() -> &'static BackendService {
    &const {
        BackendService {
            struct_size: size_of::<BackendService>(),
            name: P::NAME.as_ptr(),
            describe: Some(describe::<P>),
            load: Some(load::<P>),
            draws_per_call: Some(draws_per_call::<P>),
            draw: Some(draw::<P>),
            velocity: Some(velocity::<P>),
            gradients: Some(gradients::<P>),
            free: Some(free::<P>),
        }
    }
}

/// What a handle points to. `plugin` is touched only by the thread that has set `busy`.
struct Loaded<P> {
    busy: AtomicBool,
    plugin: UnsafeCell<P>,
}

/// Clears `busy` whatever happens.
struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn null(what: &str) -> PluginError {
    PluginError::invalid(format!("{what} is NULL"))
}

/// Runs a verb with the model to itself; a second thread gets BUSY instead of a data race.
fn with<P: BackendPlugin, T>(
    model: *mut BackendModel,
    body: impl FnOnce(&mut P) -> Result<T, PluginError>,
) -> Result<T, PluginError> {
    // SAFETY: NULL or made by `load::<P>` and not yet freed (contract); shared access only.
    let loaded = unsafe { model.cast::<Loaded<P>>().as_ref() }.ok_or_else(|| null("model"))?;
    if loaded.busy.swap(true, Ordering::Acquire) {
        let message = "another thread is using this model; load a second one".to_owned();
        let status = crate::engine_abi::MARSFM_PLUGIN_BUSY;
        return Err(PluginError { status, message });
    }
    let _busy = Busy(&loaded.busy);
    // SAFETY: `busy` was clear and is set now, so no other thread has this reference.
    body(unsafe { &mut *loaded.plugin.get() })
}

/// A product of sizes that a caller gave; one that overflows is no size of anything.
fn product(sizes: &[usize]) -> Result<usize, PluginError> {
    let all = sizes.iter().try_fold(1usize, |n, s| n.checked_mul(*s));
    all.filter(|n| *n <= isize::MAX as usize / 16)
        .ok_or_else(|| PluginError::invalid(format!("sizes {sizes:?} are impossible")))
}

/// Borrowed elements of the caller.
fn slice<'a, T>(from: *const T, n: usize, what: &str) -> Result<&'a [T], PluginError> {
    if n == 0 {
        return Ok(&[]);
    }
    if from.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL, `n` elements, not written during the call (contract).
    Ok(unsafe { std::slice::from_raw_parts(from, n) })
}

/// Copies results to the caller, whose room is exactly theirs.
fn hand_over<T: Copy>(values: &[T], to: *mut T, n: usize, what: &str) -> Result<(), PluginError> {
    if values.len() != n {
        let message = format!("{what}: room for {n} numbers given, there are {}", values.len());
        return Err(PluginError::mismatch(message));
    }
    if to.is_null() && n > 0 {
        return Err(null(what));
    }
    // SAFETY: room for `n` elements that is the caller's alone (contract).
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), to, n) };
    Ok(())
}

fn finite(values: &[f64], what: &str) -> Result<(), PluginError> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(PluginError::invalid(format!("{what}: number {i} is not finite"))),
        None => Ok(()),
    }
}

/// Sizes of the structs that have grown, as they were in ABI 1.2.
const BATCH_1_2: usize = std::mem::offset_of!(BackendBatch, temperatures_kelvin);
const DRAW_1_2: usize = std::mem::offset_of!(DrawRequest, temperature_kelvin);

/// A struct of a caller who may know only its first `least` bytes; what it lacks is zero.
///
/// # Safety
/// `T` begins with its size and is valid if it is all zero behind `least` bytes; `from` is NULL or
/// points to as many bytes as its size says.
unsafe fn grown<T: Copy>(from: *const T, least: usize, what: &str) -> Result<T, PluginError> {
    if from.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL, and a size is the first field (contract).
    let size = unsafe { *from.cast::<usize>() };
    if size < least {
        return Err(PluginError::invalid(format!("{what}: struct_size is too small")));
    }
    let mut own = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: `size` bytes are there, `own` has room for its own size, and is valid then (contract).
    unsafe {
        let n = size.min(size_of::<T>());
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), own.as_mut_ptr().cast(), n);
        Ok(own.assume_init())
    }
}

fn points<'a>(batch: *const BackendBatch) -> Result<Points<'a>, PluginError> {
    // SAFETY: the first field is a size; the rest is zero where it is absent.
    let b = unsafe { grown::<BackendBatch>(batch, BATCH_1_2, "batch") }?;
    let (p, t, l) = (b.n_samples, b.n_frames, b.n_residues);
    if p == 0 || t == 0 || l == 0 {
        return Err(PluginError::invalid("batch: no samples, no frames or no residues"));
    }
    let (residues, tokens) = (product(&[p, l])?, product(&[p, t, l])?);
    let numbers = product(&[tokens, MARSFM_PLUGIN_LATENT_DOUBLES])?;
    let mask = if b.mask.is_null() { None } else { Some(slice(b.mask, residues, "mask")?) };
    let points = Points {
        dims: (p, t, l),
        frames: slice(b.frames.cast::<[f64; 12]>(), residues, "batch.frames")?,
        residue_types: slice(b.residue_types, residues, "batch.residue_types")?,
        x_cond: slice(b.x_cond, numbers, "batch.x_cond")?,
        x_cond_mask: slice(b.x_cond_mask, tokens, "batch.x_cond_mask")?,
        mask,
        x: slice(b.x, numbers, "batch.x")?,
        t: slice(b.t, p, "batch.t")?,
        temperatures_kelvin: match b.temperatures_kelvin.is_null() {
            true => None,
            false => Some(slice(b.temperatures_kelvin, p, "batch.temperatures_kelvin")?),
        },
    };
    finite(points.x, "batch.x")?;
    finite(points.t, "batch.t")?;
    Ok(points)
}

extern "C" fn describe<P: BackendPlugin>(sink: *const TextSink) -> i32 {
    guard(|| {
        // SAFETY: NULL or valid for the call (contract).
        let sink = unsafe { sink.as_ref() }.ok_or_else(|| null("sink"))?;
        let take = sink.text.ok_or_else(|| null("sink.text"))?;
        let answer = CString::new(P::describe()?.replace('\0', " ")).unwrap_or_default();
        let status = take(sink.user_data, answer.as_ptr());
        match status {
            MARSFM_PLUGIN_OK => Ok(MARSFM_PLUGIN_OK),
            _ => Err(PluginError { status, message: "the receiver stopped the reading".into() }),
        }
    })
}

extern "C" fn load<P: BackendPlugin>(
    index: u32,
    bytes: *const c_void,
    n_bytes: usize,
    model: *mut *mut BackendModel,
) -> i32 {
    guard(|| {
        if model.is_null() {
            return Err(null("model"));
        }
        let plugin = P::load(index, slice(bytes.cast::<u8>(), n_bytes, "bytes")?)?;
        let made = Loaded { busy: AtomicBool::new(false), plugin: UnsafeCell::new(plugin) };
        // SAFETY: not NULL; the caller owns the place.
        unsafe { *model = Box::into_raw(Box::new(made)).cast() };
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn draws_per_call<P: BackendPlugin>(
    model: *mut BackendModel,
    n_residues: usize,
    n_frames: usize,
    draws: *mut usize,
) -> i32 {
    guard(|| {
        if n_residues == 0 || n_frames == 0 {
            return Err(PluginError::invalid("no residues or no frames"));
        }
        let n = with(model, |p: &mut P| Ok(p.draws_per_call(n_residues, n_frames)))?;
        hand_over(&[n], draws, 1, "draws")?;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn draw<P: BackendPlugin>(
    model: *mut BackendModel,
    request: *const DrawRequest,
    conformations: *mut f64,
    n_doubles: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the first field is a size; the rest is zero where it is absent.
        let r = unsafe { grown::<DrawRequest>(request, DRAW_1_2, "request") }?;
        let draws = product(&[r.n_starts, r.n_children])?;
        let room = [draws, r.n_frames.max(1), r.n_residues, MARSFM_PLUGIN_RESIDUE_DOUBLES];
        let room = product(&room)?;
        if room != n_doubles {
            let message = format!("room for {n_doubles} doubles given, {room} are asked for");
            return Err(PluginError::mismatch(message));
        }
        if r.solver.is_null() {
            return Err(null("request.solver"));
        }
        // SAFETY: not NULL, terminated (contract).
        let solver = unsafe { text_from_c(r.solver, "request.solver") }?;
        let starts = product(&[r.n_starts, r.n_residues])?;
        let request = Draw {
            residue_types: slice(r.residue_types, r.n_residues, "request.residue_types")?,
            starts: slice(r.starts.cast(), starts, "request.starts")?,
            n_children: r.n_children,
            n_frames: r.n_frames,
            rng_seed: r.rng_seed,
            first_id: r.first_id,
            solver: &solver,
            temperature_kelvin: (r.temperature_kelvin != 0.0).then_some(r.temperature_kelvin),
        };
        let drawn = with(model, |p: &mut P| p.draw(&request))?;
        hand_over(&drawn, conformations, n_doubles, "conformations")?;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn velocity<P: BackendPlugin>(
    model: *mut BackendModel,
    batch: *const BackendBatch,
    velocity: *mut f64,
    n_doubles: usize,
) -> i32 {
    guard(|| {
        let points = points(batch)?;
        let v = with(model, |p: &mut P| p.velocity(&points))?;
        hand_over(&v, velocity, n_doubles, "velocity")?;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn gradients<P: BackendPlugin>(
    model: *mut BackendModel,
    batch: *const BackendBatch,
    lesson: *const BackendLesson,
    loss: *mut f64,
    gradients: *mut f32,
) -> i32 {
    guard(|| {
        let points = points(batch)?;
        // SAFETY: NULL or valid for the call (contract).
        let given = unsafe { lesson.as_ref() }.ok_or_else(|| null("lesson"))?;
        if given.struct_size < size_of::<BackendLesson>() {
            return Err(PluginError::invalid("lesson: struct_size is too small"));
        }
        if loss.is_null() {
            return Err(null("loss"));
        }
        let lesson = Lesson {
            u: slice(given.u, points.x.len(), "lesson.u")?,
            weights: slice(given.weights, points.x.len(), "lesson.weights")?,
            parameters: slice(given.parameters, given.n_parameters, "lesson.parameters")?,
        };
        let (value, slope) = with(model, |p: &mut P| {
            let (got, want) = (lesson.parameters.len(), p.n_parameters());
            if got != want {
                let message = format!("{got} parameters given, the network has {want}");
                return Err(PluginError::mismatch(message));
            }
            p.gradients(&points, &lesson)
        })?;
        hand_over(&slope, gradients, given.n_parameters, "gradients")?;
        hand_over(&[value], loss, 1, "loss")?;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn free<P: BackendPlugin>(model: *mut BackendModel) {
    guard(|| {
        if !model.is_null() {
            // SAFETY: made by `load::<P>`, freed once, no other call in progress (contract).
            drop(unsafe { Box::from_raw(model.cast::<Loaded<P>>()) });
        }
        Ok(MARSFM_PLUGIN_OK)
    });
}

/// One residue of a conformation as it crosses, from f32 values in Å: no bit is lost on the way.
pub fn residue_doubles(
    rot: [[f32; 3]; 3],
    trans_angstrom: [f32; 3],
    torsions: [[f32; 2]; 7],
) -> [f64; MARSFM_PLUGIN_RESIDUE_DOUBLES] {
    let mut row = [0.0; MARSFM_PLUGIN_RESIDUE_DOUBLES];
    let trans_nm = trans_angstrom.map(|v| f64::from(v) / 10.0);
    let values = rot.as_flattened().iter().map(|v| f64::from(*v)).chain(trans_nm);
    let values = values.chain(torsions.as_flattened().iter().map(|v| f64::from(*v)));
    row.iter_mut().zip(values).for_each(|(to, v)| *to = v);
    row
}

/// Rotation, translation (Å) and torsions of a residue that crossed.
pub fn residue_parts(
    row: &[f64; MARSFM_PLUGIN_RESIDUE_DOUBLES],
) -> ([[f32; 3]; 3], [f32; 3], [[f32; 2]; 7]) {
    let rot = [0, 1, 2].map(|i| [0, 1, 2].map(|j| row[3 * i + j] as f32));
    let trans = [0, 1, 2].map(|i| (row[9 + i] * 10.0) as f32);
    let torsions = std::array::from_fn(|k| [row[12 + 2 * k] as f32, row[13 + 2 * k] as f32]);
    (rot, trans, torsions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_residue_crosses_without_losing_a_bit() {
        let mut bits = 0x3f12_3456u32;
        for _ in 0..2000 {
            let mut next = || {
                bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f32::from_bits(bits & 0x83ff_ffff | 0x3c00_0000)
            };
            let rot = [[next(), next(), next()], [next(), next(), next()], [0.0, -0.0, 1.0]];
            let trans = [next() * 1000.0, next(), -next()];
            let torsions = [[next(), next()]; 7];
            let back = residue_parts(&residue_doubles(rot, trans, torsions));
            assert_eq!(back, (rot, trans, torsions));
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(product(&[usize::MAX, 2]).is_err());
        assert!(product(&[1 << 31, 1 << 31]).is_err());
        assert_eq!(product(&[3, 0, 5]).unwrap(), 0);
    }
}
