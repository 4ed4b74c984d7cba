//! What a training step eats: systems with their encoded frames, and batches drawn from them.
//!
//! One sample is a window of the network's T frames. With one frame it is the target of a pair;
//! with more it runs from the pair's first frame (frame 0, the condition) to its second, the frames
//! between lying evenly between them in the trajectory: two frames are a pair, K frames MDGen's
//! window. Every later frame is superposed on frame 0.
//!
//! Every batch is a function of (data, rng_seed, step): the generator's stream is the step, so a
//! resumed run draws what the uninterrupted one would have drawn.

use std::borrow::Cow;
use std::sync::Arc;

use marsfm_geometry::{Conformation, LATENT, ResidueType, superpose, torsion_mask};
use marsfm_surrogate::{Batch, Condition, Path, condition_of};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::{Frames, TrainingError, mosaic};

/// The residue type that says nothing.
const UNKNOWN: u32 = 20;

/// (trajectory, frame) of the condition and of the target.
pub type Pair = ((usize, usize), (usize, usize));

/// Draws training pairs of one system; indices only, so it needs no Markov model here.
pub trait PairSource: Send + Sync {
    /// The pair that this random generator leads to.
    fn draw(&self, rng: &mut dyn Rng) -> Pair;
}

/// One system: its chain, its frames, its pairs.
pub struct System {
    /// Name, for messages and the model card.
    pub name: String,
    /// Residue types.
    pub types: Vec<ResidueType>,
    /// Encoded frames per trajectory (Å).
    pub frames: Frames,
    /// Where pairs come from.
    pub pairs: Box<dyn PairSource>,
    /// Simulated time, ns, for the model card.
    pub nanoseconds: f64,
    /// Temperature of the simulation, K.
    pub temperature_kelvin: f64,
}

impl System {
    /// An encoded frame; a pair that names none is an error.
    pub(crate) fn frame(
        &self,
        t: usize,
        f: usize,
    ) -> Result<Cow<'_, Conformation<f32>>, TrainingError> {
        self.frames.get(t, f)?.ok_or_else(|| {
            TrainingError::Data(format!("{}: there is no frame {f} in trajectory {t}", self.name))
        })
    }
}

/// Systems to draw batches from.
pub struct TrainingSet {
    systems: Vec<System>,
    frames: usize,
    crop: usize,
    path: Path,
    hide_residue_types: f64,
    mosaics: f64,
    mosaic_cut: f64,
    temperatures: bool,
}

impl TrainingSet {
    /// Takes systems; `frames` of one call are 1 (T1), 2 (T2) or K (MDGen). Errors if there is no
    /// system or one has no frame.
    pub fn new(
        systems: Vec<System>,
        frames: usize,
        crop: usize,
        path: Path,
    ) -> Result<Self, TrainingError> {
        if systems.is_empty() {
            return Err(TrainingError::Data("there is no system to draw batches from".into()));
        }
        if let Some(s) = systems.iter().find(|s| s.frames.lengths().iter().all(|n| *n == 0)) {
            return Err(TrainingError::Data(format!("{} has no frame", s.name)));
        }
        if frames == 0 {
            return Err(TrainingError::Data("a call of the network has at least one frame".into()));
        }
        Ok(Self {
            systems,
            frames,
            crop,
            path,
            hide_residue_types: 0.0,
            mosaics: 0.0,
            mosaic_cut: 1.0,
            temperatures: false,
        })
    }

    /// Hides each residue's type with this probability (see the recipe).
    pub fn hiding_residue_types(mut self, probability: f64) -> Self {
        self.hide_residue_types = probability;
        self
    }

    /// Makes a sample a mosaic with this probability, cut after a residue with that probability
    /// (see the recipe).
    pub fn with_mosaics(mut self, probability: f64, cut: f64) -> Self {
        (self.mosaics, self.mosaic_cut) = (probability, cut);
        self
    }

    /// Tells the network the temperature of each sample's system.
    pub fn telling_temperatures(mut self, tell: bool) -> Self {
        self.temperatures = tell;
        self
    }

    /// The systems.
    pub fn systems(&self) -> &[System] {
        &self.systems
    }

    /// The batch of one step: a system uniformly at random decides the length, each sample comes
    /// from a system uniformly among those of that length.
    pub fn batch(&self, samples: usize, rng_seed: u64, step: u64) -> Result<Batch, TrainingError> {
        let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
        rng.set_stream(step);
        let length = |s: &System| s.types.len().min(self.crop);
        let l = length(&self.systems[rng.random_range(0..self.systems.len())]);
        let same: Vec<&System> = self.systems.iter().filter(|s| length(s) == l).collect();
        let mut batch = Builder::new(self, samples, l);
        for _ in 0..samples {
            if self.mosaics > 0.0 && rng.random_bool(self.mosaics) {
                batch.add_mosaic(&mut rng)?;
            } else {
                batch.add_pair(same[rng.random_range(0..same.len())], &mut rng)?;
            }
        }
        Ok(batch.finish())
    }
}

struct Builder<'a> {
    set: &'a TrainingSet,
    l: usize,
    condition: Condition,
    x: Vec<f64>,
    u: Vec<f64>,
    t: Vec<f64>,
    weights: Vec<f64>,
}

impl<'a> Builder<'a> {
    fn new(set: &'a TrainingSet, samples: usize, l: usize) -> Self {
        let values = samples * set.frames * l * LATENT;
        let condition = Condition {
            residues: l,
            frames: Arc::new(Vec::with_capacity(samples * l)),
            residue_types: Vec::with_capacity(samples * l),
            x_cond: Vec::with_capacity(values),
            x_cond_mask: Vec::with_capacity(values / LATENT),
            mask: None,
            temperatures_kelvin: set.temperatures.then(|| Vec::with_capacity(samples)),
        };
        let room = || Vec::with_capacity(values);
        Self { set, l, condition, x: room(), u: room(), t: room(), weights: room() }
    }

    fn add_pair(&mut self, system: &System, rng: &mut ChaCha8Rng) -> Result<(), TrainingError> {
        if let Some(all) = &mut self.condition.temperatures_kelvin {
            all.push(system.temperature_kelvin);
        }
        let pair = system.pairs.draw(rng);
        let from = rng.random_range(0..=system.types.len() - self.l);
        let range = from..from + self.l;
        let ((ti, fi), last) = pair;
        let start = crop(&*system.frame(ti, fi)?, &range);
        let targets = match self.set.frames {
            1 | 2 => vec![crop(&*system.frame(last.0, last.1)?, &range)],
            k => {
                let cropped = |c: Result<Cow<Conformation<f32>>, _>| c.map(|c| crop(&c, &range));
                window(system, pair, k)?.map(cropped).collect::<Result<_, _>>()?
            }
        };
        // Torsions that the whole chain has, also where a crop begins inside it.
        let mask = &torsion_mask(&system.types)[range.clone()];
        self.add(&system.types[range], start, targets, mask, rng)
    }

    fn add_mosaic(&mut self, rng: &mut ChaCha8Rng) -> Result<(), TrainingError> {
        let m = mosaic::draw(&self.set.systems, self.l, self.set.mosaic_cut, rng)?;
        self.add(&m.types, m.start, vec![m.target], &torsion_mask(&m.types), rng)
    }

    fn add(
        &mut self,
        types: &[ResidueType],
        start: Conformation<f32>,
        targets: Vec<Conformation<f32>>,
        mask: &[[bool; 7]],
        rng: &mut ChaCha8Rng,
    ) -> Result<(), TrainingError> {
        let one = condition_of(types, std::slice::from_ref(&start), self.set.frames);
        let frames = Arc::get_mut(&mut self.condition.frames).expect("the builder owns its batch");
        frames.extend(one.frames.iter().copied());
        let hide = self.set.hide_residue_types;
        for kind in one.residue_types {
            let hidden = hide > 0.0 && rng.random_bool(hide);
            self.condition.residue_types.push(if hidden { UNKNOWN } else { kind });
        }
        self.condition.x_cond.extend(one.x_cond);
        self.condition.x_cond_mask.extend(one.x_cond_mask);

        let t: f64 = rng.random_range(0.0..1.0);
        let c = self.set.path.at(t);
        self.t.push(t);
        let mut rows = Vec::new();
        if self.set.frames > 1 {
            rows.extend(marsfm_geometry::encode(&start, &start));
        }
        for target in &targets {
            rows.extend(marsfm_geometry::encode(&start, &align(target, &start)?));
        }
        for x1 in rows.iter().flatten() {
            let x0: f64 = StandardNormal.sample(rng);
            let x1 = f64::from(*x1);
            self.x.push(c.alpha * x1 + c.sigma * x0);
            self.u.push(c.alpha_rate * x1 + c.sigma_rate * x0);
        }
        for _ in 0..self.set.frames {
            for torsions in mask {
                self.weights.extend([1.0; 7]);
                for exists in torsions {
                    self.weights.extend([if *exists { 1.0 } else { 0.0 }; 2]);
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Batch {
        let Self { condition, x, u, t, weights, .. } = self;
        Batch { condition, x, u, t, weights }
    }
}

/// The frames 1..k of a window from a pair's first frame to its second, evenly spaced.
fn window(
    system: &System,
    ((t, first), (t_last, last)): Pair,
    k: usize,
) -> Result<impl Iterator<Item = Result<Cow<'_, Conformation<f32>>, TrainingError>>, TrainingError>
{
    let steps = k - 1;
    if t != t_last || last <= first || !(last - first).is_multiple_of(steps) {
        return Err(TrainingError::Data(format!(
            "{}: frames {first} of trajectory {t} and {last} of {t_last} do not span a window of \
             {k} evenly spaced frames; use pairs of level \"window\"",
            system.name
        )));
    }
    let stride = (last - first) / steps;
    Ok((1..k).map(move |i| system.frame(t, first + i * stride)))
}

fn crop(c: &Conformation<f32>, range: &std::ops::Range<usize>) -> Conformation<f32> {
    Conformation {
        rigids: c.rigids[range.clone()].to_vec(),
        torsions: c.torsions[range.clone()].to_vec(),
    }
}

/// N and C in a residue's frame, Å (literature geometry of alanine; CA is the origin).
const BACKBONE: [[f32; 3]; 3] = [[-0.525, 1.363, 0.0], [0.0, 0.0, 0.0], [1.526, 0.0, 0.0]];

/// The target superposed on the start by N, CA and C of all residues: a jump changes shape, not
/// where the molecule floats.
pub fn align(
    target: &Conformation<f32>,
    start: &Conformation<f32>,
) -> Result<Conformation<f32>, TrainingError> {
    let points = |c: &Conformation<f32>| -> Vec<[f32; 3]> {
        c.rigids.iter().flat_map(|r| BACKBONE.map(|p| r.apply(p))).collect()
    };
    let fit = superpose(&points(target), &points(start))
        .map_err(|e| TrainingError::Data(e.to_string()))?;
    Ok(target.moved(&fit.motion.cast()))
}
