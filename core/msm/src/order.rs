//! The order in which trajectories are summed: by a digest of what they hold, so that a model has the
//! same bits however its trajectories were listed. Equal digests are equal trajectories in practice,
//! and then their order does not matter either.

use crate::rows::check_finite;
use crate::{MsmError, Real, Rows};

/// Digest of the numbers of one trajectory, which may arrive in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Digest(u64);

impl Digest {
    /// Of no frame.
    pub fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// Takes the next frames.
    pub fn push<T: Real>(&mut self, rows: &Rows<'_, T>) {
        let one = |h: u64, v: &T| {
            (h.rotate_left(5) ^ v.to_f64().to_bits()).wrapping_mul(0x517C_C1B7_2722_0A95)
        };
        self.0 = rows.span(0, rows.n_rows()).iter().fold(self.0, one);
    }

    /// The digest.
    pub fn finish(self) -> u64 {
        mix(self.0)
    }
}

/// Numbers of the trajectories in the order in which they are summed.
pub(crate) fn by_digest(digests: &[u64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..digests.len()).collect();
    order.sort_by_key(|i| (digests[*i], *i));
    order
}

/// The same of trajectories in memory, which are checked on the way.
pub(crate) fn of_rows<T: Real>(trajectories: &[Rows<'_, T>]) -> Result<Vec<usize>, MsmError> {
    let digests = trajectories
        .iter()
        .enumerate()
        .map(|(i, rows)| {
            check_finite(rows, i, 0, rows.n_rows())?;
            let mut digest = Digest::new();
            digest.push(rows);
            Ok(digest.finish())
        })
        .collect::<Result<Vec<_>, MsmError>>()?;
    Ok(by_digest(&digests))
}

/// Values listed in `order`, back in their places.
pub(crate) fn unsorted<T>(order: &[usize], sorted: Vec<T>) -> Vec<T> {
    let mut placed: Vec<(usize, T)> = order.iter().copied().zip(sorted).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, value)| value).collect()
}

/// Spreads the bits of a number (the finaliser of SplitMix64).
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_know_values_and_not_pieces() {
        let of = |data: &[f64], piece: usize| {
            let mut digest = Digest::new();
            data.chunks(piece).for_each(|p| digest.push(&Rows::new(p, 2).unwrap()));
            digest.finish()
        };
        let x: Vec<f64> = (0..40).map(f64::from).collect();
        let mut y = x.clone();
        y.swap(3, 5);
        assert_eq!(of(&x, 40), of(&x, 6));
        assert_ne!(of(&x, 40), of(&y, 40));
        assert_ne!(of(&x, 40), of(&x[..38], 40));
        let order = by_digest(&[7, 1, 9, 1]);
        assert_eq!(order, [1, 3, 0, 2]);
        assert_eq!(unsorted(&order, vec!["b", "d", "a", "c"]), ["a", "b", "c", "d"]);
    }
}
