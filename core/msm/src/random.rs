//! Random numbers by counter: one ChaCha8 stream per item, so that results depend on the seed and
//! the item's number alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// Stream `stream` of seed `rng_seed`.
    pub fn new(rng_seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// The same seed, another stream, from its start.
    pub fn restarted(&self, stream: u64) -> Self {
        let mut rng = self.0.clone();
        rng.set_stream(stream);
        rng.set_word_pos(0);
        Self(rng)
    }

    /// The generator, for distributions.
    pub fn inner(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (-53.0_f64).exp2()
    }

    /// Uniform in 0..n (n > 0), by multiplication.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }
}
