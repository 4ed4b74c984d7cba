//! Large arrays on huge pages. Linux backs fresh memory with pages of 4 kB, and 20,000 page faults
//! cost an 80 MB result more time than its arithmetic; pages of 2 MB do not.

/// Zeros, on huge pages if there are many of them. Elsewhere than on Linux, or where they cannot be
/// had, plain memory.
pub(crate) fn zeros<T: Copy + Default>(n: usize) -> Vec<T> {
    let mut out = vec![T::default(); n];
    advise(&mut out);
    out
}

#[cfg(target_os = "linux")]
fn advise<T>(fresh: &mut [T]) {
    const HUGE: usize = 2 << 20;
    let bytes = size_of_val(fresh);
    let memory = fresh.as_mut_ptr().cast::<u8>();
    let start = memory.align_offset(HUGE);
    if bytes < 2 * HUGE || start >= bytes {
        return;
    }
    let len = (bytes - start) / HUGE * HUGE;
    // SAFETY: the range lies within the slice; the advice changes how it is backed, not what it holds.
    let told = unsafe { libc::madvise(memory.add(start).cast(), len, libc::MADV_HUGEPAGE) };
    // A refusal (a kernel without huge pages) leaves small ones, which work as well.
    let _ = told;
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_: &mut [T]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_arrays_are_zero_and_writable() {
        for n in [0, 1, 1000, 3_000_000] {
            let mut v = zeros::<f64>(n);
            assert!(v.len() == n && v.iter().all(|x| *x == 0.0));
            v.fill(1.0);
            assert_eq!(v.iter().sum::<f64>(), n as f64);
        }
    }
}
