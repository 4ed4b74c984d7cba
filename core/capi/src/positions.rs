//! Positions in and out: float or double, any stride, any alignment.
#![allow(unsafe_code)]

use crate::arguments::read_record;
use crate::status::{Checked, Failure};
use crate::types::*;

/// Element type and stride of a caller's positions.
#[derive(Clone, Copy)]
struct Layout {
    double: bool,
    stride: usize,
}

fn layout(what: &str, null: bool, n_atoms: usize, stride: usize, dtype: i32) -> Checked<Layout> {
    if null {
        return Err(Failure::argument(format!("{what}: data_nm is NULL")));
    }
    let element = match dtype {
        MARSFM_F32 => size_of::<f32>(),
        MARSFM_F64 => size_of::<f64>(),
        other => {
            let message = format!("{what}: dtype is {other}; expected MARSFM_F32 or MARSFM_F64");
            return Err(Failure::argument(message));
        }
    };
    let stride = if stride == 0 { 3 * element } else { stride };
    if stride < 3 * element {
        return Err(Failure::argument(format!(
            "{what}: stride_bytes is {stride}, three elements need {}",
            3 * element
        )));
    }
    let fits = stride.checked_mul(n_atoms).is_some_and(|bytes| bytes <= isize::MAX as usize);
    if !fits {
        let message = format!("{what}: {n_atoms} atoms of {stride} bytes exceed the address space");
        return Err(Failure::argument(message));
    }
    Ok(Layout { double: dtype == MARSFM_F64, stride })
}

fn count(what: &str, expected: usize, got: usize) -> Checked<()> {
    if expected == got {
        return Ok(());
    }
    let message = format!("{what}: {got} positions for a topology of {expected} atoms");
    Err(Failure::new(MARSFM_ERROR_COUNT, message))
}

/// Copies a caller's positions; the count is checked before anything is read.
pub(crate) unsafe fn read(at: *const XyzIn, expected: usize) -> Checked<Vec<[f64; 3]>> {
    // SAFETY: as the C contract.
    let xyz = unsafe { read_record(at, "xyz")? };
    let null = xyz.data_nm.is_null();
    let Layout { double, stride } = layout("xyz", null, xyz.n_atoms, xyz.stride_bytes, xyz.dtype)?;
    count("xyz", expected, xyz.n_atoms)?;
    let one = |i: usize| {
        // SAFETY: atom i begins i strides behind data_nm, and the caller says that n_atoms are
        // there; reads need no alignment.
        unsafe {
            let p = xyz.data_nm.cast::<u8>().add(i * stride);
            if double {
                p.cast::<[f64; 3]>().read_unaligned()
            } else {
                p.cast::<[f32; 3]>().read_unaligned().map(f64::from)
            }
        }
    };
    Ok((0..xyz.n_atoms).map(one).collect())
}

/// A checked place for positions.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    data: *mut u8,
    layout: Layout,
}

/// Checks the room for `expected` positions.
pub(crate) unsafe fn place(at: *const XyzOut, expected: usize) -> Checked<Place> {
    // SAFETY: as the C contract.
    let xyz = unsafe { read_record(at, "xyz")? };
    let null = xyz.data_nm.is_null();
    let layout = layout("xyz", null, xyz.n_atoms, xyz.stride_bytes, xyz.dtype)?;
    count("xyz", expected, xyz.n_atoms)?;
    Ok(Place { data: xyz.data_nm.cast(), layout })
}

/// Writes positions to a place checked for as many; bytes between atoms stay as they are.
pub(crate) unsafe fn write(place: Place, positions_nm: &[[f64; 3]]) {
    for (i, position) in positions_nm.iter().enumerate() {
        // SAFETY: as in `read`, for writing.
        unsafe {
            let p = place.data.add(i * place.layout.stride);
            if place.layout.double {
                p.cast::<[f64; 3]>().write_unaligned(*position);
            } else {
                p.cast::<[f32; 3]>().write_unaligned(position.map(|x| x as f32));
            }
        }
    }
}

/// Cell vectors as rows, nm; NULL is none.
pub(crate) unsafe fn cell(box_nm: *const f64) -> Option<[[f64; 3]; 3]> {
    // SAFETY: NULL, or nine doubles.
    (!box_nm.is_null()).then(|| unsafe { box_nm.cast::<[[f64; 3]; 3]>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_and_types_agree_and_gaps_are_kept() {
        let values: Vec<f32> = (0..12).map(|i| i as f32 / 3.0).collect();
        let mut xyz = XyzIn {
            struct_size: size_of::<XyzIn>(),
            data_nm: values.as_ptr().cast(),
            n_atoms: 3,
            stride_bytes: 16,
            dtype: MARSFM_F32,
            reserved: 0,
        };
        // SAFETY: three atoms of 16 bytes, and four packed ones, lie in 48 bytes.
        unsafe {
            let read_one = |x: &XyzIn, n: usize| read(x, n).map_err(|f| f.code);
            assert_eq!(
                read_one(&xyz, 3).unwrap()[2],
                [8.0, 9.0, 10.0].map(|x: f32| f64::from(x / 3.0))
            );
            (xyz.stride_bytes, xyz.n_atoms) = (0, 4);
            assert_eq!(read_one(&xyz, 4).unwrap()[3][0], f64::from(3.0f32));
            assert_eq!(read_one(&xyz, 3).err(), Some(MARSFM_ERROR_COUNT));
            for (n, stride, dtype) in
                [(4, 8, MARSFM_F32), (4, 0, 0), (usize::MAX / 8, 0, MARSFM_F64)]
            {
                let bad = XyzIn { n_atoms: n, stride_bytes: stride, dtype, ..xyz };
                assert_eq!(read_one(&bad, 4).err(), Some(MARSFM_ERROR_ARGUMENT));
            }
        }
        let mut out = [-1.0f64; 8];
        let room = XyzOut {
            struct_size: size_of::<XyzOut>(),
            data_nm: out.as_mut_ptr().cast(),
            n_atoms: 2,
            stride_bytes: 32,
            dtype: MARSFM_F64,
            reserved: 0,
        };
        // SAFETY: two atoms of 32 bytes.
        unsafe { write(place(&room, 2).unwrap(), &[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) };
        assert_eq!(out, [1.0, 2.0, 3.0, -1.0, 4.0, 5.0, 6.0, -1.0]);
    }
}
