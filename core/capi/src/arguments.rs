//! Checks of what comes in, and the ways in which results go out. Nothing is written unless the
//! call succeeds, except the size that a buffer needs.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use crate::status::{Checked, Failure};
use crate::types::*;

/// A struct that begins with its size and for which all bits zero is valid.
///
/// # Safety
/// `#[repr(C)]`, first field `struct_size: usize`, all-zero is a value.
pub(crate) unsafe trait Record: Copy {
    /// Its name in C.
    const NAME: &'static str;
    /// Size when the struct first appeared: no caller has a smaller one.
    const FIRST_SIZE: usize;
}

macro_rules! records {
    ($($rust:ident $c:literal $first:literal,)*) => {$(
        // SAFETY: see types.rs: repr(C), struct_size first, numbers and pointers only.
        unsafe impl Record for $rust {
            const NAME: &'static str = $c;
            const FIRST_SIZE: usize = $first;
        }
    )*};
}

// The last column never changes: struct sizes of the ABI that first had them.
records! {
    Atom "marsfm_atom_t" 56,
    TopologyInfo "marsfm_topology_info_t" 24,
    ModelOptions "marsfm_model_options_t" 16,
    ModelInfo "marsfm_model_info_t" 40,
    SessionOptions "marsfm_session_options_t" 48,
    XyzIn "marsfm_xyz_in_t" 40,
    XyzOut "marsfm_xyz_out_t" 40,
    TreeOptions "marsfm_tree_options_t" 64,
    BatchInfo "marsfm_batch_info_t" 56,
    SampleInfo "marsfm_sample_info_t" 72,
    MsmOptions "marsfm_msm_options_t" 64,
    MsmInfo "marsfm_msm_info_t" 64,
    TrajectoryInfo "marsfm_trajectory_info_t" 40,
    MsmDrift "marsfm_msm_drift_t" 56,
    Minimised "marsfm_minimised_t" 40,
    SeedInfo "marsfm_seed_info_t" 32,
}

/// No struct of this header comes near this size: struct_size was not set.
const LARGEST: usize = 4096;

/// The caller's struct_size, checked.
unsafe fn size_of_callers<T: Record>(at: *const T, what: &str) -> Checked<usize> {
    if at.is_null() {
        return Err(null(what));
    }
    // SAFETY: not null, and the caller's struct begins with its size.
    let size = unsafe { at.cast::<usize>().read_unaligned() };
    if !(T::FIRST_SIZE..=LARGEST).contains(&size) {
        return Err(Failure::argument(format!(
            "{what}: struct_size is {size}; set it to sizeof({}), which is at least {}",
            T::NAME,
            T::FIRST_SIZE
        )));
    }
    Ok(size)
}

/// Reads a struct of any version: fields that the caller does not know are zero; fields that this
/// library does not know must be.
pub(crate) unsafe fn read_record<T: Record>(at: *const T, what: &str) -> Checked<T> {
    // SAFETY: the caller of this function hands on the C caller's contract.
    let size = unsafe { size_of_callers(at, what)? };
    let known = size.min(size_of::<T>());
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `size` bytes are readable; `known` fit into both; all-zero is a valid T.
    unsafe {
        std::ptr::copy_nonoverlapping(at.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known);
        for i in known..size {
            if at.cast::<u8>().add(i).read() != 0 {
                return Err(Failure::argument(format!(
                    "{what}: a field of {} is set that this library is too old to know",
                    T::NAME
                )));
            }
        }
        Ok(value.assume_init())
    }
}

/// Like [`read_record`]; NULL means that every field is zero.
pub(crate) unsafe fn read_options<T: Record>(at: *const T, what: &str) -> Checked<T> {
    if at.is_null() {
        // SAFETY: all-zero is a valid T.
        return Ok(unsafe { MaybeUninit::<T>::zeroed().assume_init() });
    }
    // SAFETY: as the caller's contract.
    unsafe { read_record(at, what) }
}

/// Writes as much of `value` as the caller's struct takes, with the size that is filled in front.
pub(crate) unsafe fn write_record<T: Record>(at: *mut T, value: &T, what: &str) -> Checked<()> {
    // SAFETY: as the caller's contract.
    let size = unsafe { size_of_callers(at, what)? };
    let known = size.min(size_of::<T>());
    // SAFETY: `known` bytes are writable at `at` and readable in `value`.
    unsafe {
        let from = std::ptr::from_ref(value).cast::<u8>();
        std::ptr::copy_nonoverlapping(from, at.cast::<u8>(), known);
        at.cast::<usize>().write_unaligned(known);
    }
    Ok(())
}

fn null(what: &str) -> Failure {
    Failure::argument(format!("{what} is NULL"))
}

/// Borrows a handle.
pub(crate) unsafe fn handle<'a, T>(at: *const T, what: &str) -> Checked<&'a T> {
    // SAFETY: handles come from this library and are not freed while in use.
    unsafe { at.as_ref() }.ok_or_else(|| null(what))
}

/// Checks the place of an output.
pub(crate) fn output<T>(at: *mut T, what: &str) -> Checked<()> {
    if at.is_null() { Err(null(what)) } else { Ok(()) }
}

/// Hands a new handle to the caller.
pub(crate) unsafe fn give<T>(at: *mut *mut T, value: T) {
    // SAFETY: checked with `output` before any work.
    unsafe { at.write(Box::into_raw(Box::new(value))) };
}

/// Frees a handle; NULL is fine.
pub(crate) unsafe fn free<T>(at: *mut T) {
    if !at.is_null() {
        // SAFETY: made by `give`, freed once.
        let owned = unsafe { Box::from_raw(at) };
        // What is dropped holds no code of callers; a panic could only be a defect.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(owned)))
            .map_err(std::mem::forget);
    }
}

/// Borrows a text.
pub(crate) unsafe fn text<'a>(at: *const c_char, what: &str) -> Checked<&'a str> {
    if at.is_null() {
        return Err(null(what));
    }
    // SAFETY: not null; C strings end with NUL.
    let bytes = unsafe { CStr::from_ptr(at) };
    bytes.to_str().map_err(|e| Failure::argument(format!("{what} is not UTF-8: {e}")))
}

/// Borrows a text; NULL is `None`.
pub(crate) unsafe fn optional_text<'a>(at: *const c_char, what: &str) -> Checked<Option<&'a str>> {
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: not null.
    unsafe { text(at, what) }.map(Some)
}

/// Copies `text` into a caller's buffer.
pub(crate) unsafe fn write_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Checked<()> {
    let size = text.len() + 1;
    // SAFETY: as the caller's contract: a whole text with its NUL, or nothing.
    unsafe {
        if fits(size, buffer, capacity, needed)? {
            let bytes = buffer.cast::<u8>();
            std::ptr::copy_nonoverlapping(text.as_ptr(), bytes, text.len());
            bytes.add(text.len()).write(0);
        }
    }
    Ok(())
}

/// Copies numbers into a caller's buffer.
pub(crate) unsafe fn write_numbers(
    values: &[f64],
    buffer: *mut f64,
    capacity: usize,
    needed: *mut usize,
) -> Checked<()> {
    // SAFETY: as the caller's contract.
    unsafe {
        if fits(values.len(), buffer, capacity, needed)? {
            let from = values.as_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(from, buffer.cast::<u8>(), size_of_val(values));
        }
    }
    Ok(())
}

/// Tells the size and says whether there is something to copy (not if capacity is 0).
unsafe fn fits<T>(
    size: usize,
    buffer: *mut T,
    capacity: usize,
    needed: *mut usize,
) -> Checked<bool> {
    if capacity > 0 && buffer.is_null() {
        return Err(null("buffer"));
    }
    if capacity == 0 && needed.is_null() {
        return Err(null("needed (with a capacity of 0)"));
    }
    if !needed.is_null() {
        // SAFETY: not null.
        unsafe { needed.write(size) };
    }
    if capacity > 0 && capacity < size {
        let message = format!("the buffer has room for {capacity}, {size} are needed");
        return Err(Failure::new(MARSFM_ERROR_SIZE, message));
    }
    Ok(capacity > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_of_other_versions_are_read_and_written_in_part() {
        // A caller whose struct is 16 bytes longer than ours.
        #[repr(C)]
        struct Newer {
            ours: ModelInfo,
            more: [u64; 2],
        }
        let ours = ModelInfo {
            struct_size: size_of::<Newer>(),
            lag_ps: 3.0,
            temperature_kelvin: 0.0,
            min_residues: 0,
            max_residues: 0,
            takes_temperature: 0,
            reserved: 0,
            min_temperature_kelvin: 0.0,
            max_temperature_kelvin: 0.0,
        };
        let mut newer = Newer { ours, more: [0, 0] };
        let at = std::ptr::from_mut(&mut newer).cast::<ModelInfo>();
        // SAFETY: `at` is a whole Newer, and its struct_size says so.
        unsafe {
            assert_eq!(read_record(at, "x").unwrap().lag_ps, 3.0);
            (*at.cast::<Newer>()).more[1] = 7;
            assert!(read_record(at, "x").err().unwrap().message.contains("too old"));
            write_record(at, &ModelInfo { lag_ps: 9.0, ..ours }, "x").unwrap();
        }
        assert_eq!((newer.ours.struct_size, newer.ours.lag_ps), (size_of::<ModelInfo>(), 9.0));
        assert_eq!(newer.more, [0, 7]);
        newer.ours.struct_size = 0;
        let at = std::ptr::from_ref(&newer.ours);
        // SAFETY: a whole struct.
        let error = unsafe { read_record(at, "info") }.err().unwrap();
        assert!(error.message.contains("sizeof(marsfm_model_info_t)"), "{}", error.message);
    }

    #[test]
    fn texts_are_whole_or_not_written() {
        let (mut buffer, mut needed) = ([1 as c_char; 8], 0);
        // SAFETY: the buffer has the capacity that is told.
        unsafe {
            let code = |r: Checked<()>| r.err().map(|f| f.code);
            let at = buffer.as_mut_ptr();
            assert_eq!(code(write_text("four", std::ptr::null_mut(), 0, &mut needed)), None);
            assert_eq!(needed, 5);
            assert_eq!(code(write_text("four", at, 4, &mut needed)), Some(MARSFM_ERROR_SIZE));
            assert_eq!(*at, 1);
            assert_eq!(code(write_text("four", at, 5, std::ptr::null_mut())), None);
            assert_eq!(text(at, "x").unwrap(), "four");
            assert_eq!(*at.add(5), 1);
            let null = std::ptr::null_mut();
            assert!(write_text("x", null, 3, &mut needed).is_err());
            assert!(write_text("x", null, 0, std::ptr::null_mut()).is_err());
        }
    }
}
