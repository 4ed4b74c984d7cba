//! The whole path: features → TICA → k-means microstates → reversible MSM → PCCA+ macrostates →
//! transition matrix at the pair lag. METHOD 7.1 and 7.1b.
//!
//! Three lags, three names, all in frames: `tica_lag`, `msm_lag` (microstate model behind PCCA+),
//! `pair_lag` (macrostate T that makes training pairs). Rules: PCCA+ sees the reversible T of the
//! connected set with most frames; a microstate outside it (orphan) goes to the macrostate of the
//! nearest active microstate centre; macrostates are numbered by falling number of frames, empty
//! ones are dropped; T is row-normalised sliding counts, T_ii = 1 for a state never left from.

use serde::{Deserialize, Serialize};

use crate::estimate::{ImpliedTimescales, implied_timescales, row_normalised};
use crate::kmeans::{KMeans, KMeansModel, assign};
use crate::kolmogorov::{ChapmanKolmogorov, KolmogorovBars, chapman_kolmogorov, kolmogorov_bars};
use crate::order;
use crate::rows::common_width;
use crate::states::{Discrete, Renamed};
use crate::validate::{one_only, visits};
use crate::{
    CountMode, ErrorBars, MarkovModel, Matrix, MsmError, Pcca, PccaModel, Real, ReversibleMle,
    Rows, Scaling, StateTrajectories, Tica, TicaModel, Warning, count_transitions,
};

/// Fewer frames than this to a microstate, on average, and the model is fitted to noise.
pub const FRAMES_PER_MICROSTATE: usize = 20;

/// Settings of a build; the defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MsmBuilder {
    /// Lag of TICA in frames.
    pub tica_lag: usize,
    /// Lag of the microstate model in frames.
    pub msm_lag: usize,
    /// Lag of the macrostate transition matrix in frames.
    pub pair_lag: usize,
    /// k-means centres.
    pub n_microstates: usize,
    /// PCCA+ sets asked for.
    pub n_macrostates: usize,
    /// Fraction of the kinetic variance that TICA keeps.
    pub var_cutoff: f64,
    /// Scaling of the TICA projection.
    pub scaling: Scaling,
    /// Whether TICA weights pairs towards equilibrium, for seeded or short runs.
    #[serde(default)]
    pub reweighted: bool,
    /// Seed of the k-means start.
    pub rng_seed: u64,
    /// Limit of k-means iterations.
    pub kmeans_iterations: usize,
    /// Whether a build in passes, whose k-means sees a subsample of the frames, lets mini-batches of
    /// all frames move the centres. A build in memory sees all of them anyway.
    #[serde(default)]
    pub mini_batch: bool,
    /// Lags of the implied timescales in frames; `None` chooses 1, 2, 5, 10, … up to ten MSM lags
    /// or a third of the longest trajectory.
    pub timescale_lags: Option<Vec<usize>>,
}

/// A Markov model with its macrostates; immutable. Full numbering throughout: microstates are rows
/// of `centers`, frames outside every state hold -1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Msm {
    /// How it was built.
    pub settings: MsmBuilder,
    /// The projection.
    pub tica: TicaModel,
    /// Microstate centres in the projection (rows).
    pub centers: Matrix,
    /// k-means inertia.
    pub inertia: f64,
    /// Frames that this inertia is summed over; 0 in a file of before this was kept.
    #[serde(default)]
    pub clustered_frames: u64,
    /// Microstate of every frame, per trajectory.
    #[serde(skip)]
    pub micro_trajectories: StateTrajectories,
    /// Frames of each microstate.
    pub micro_populations: Vec<u64>,
    /// Reversible model of the active microstates at `msm_lag`.
    pub micro: MarkovModel,
    /// Memberships and diagnostics; columns in PCCA+'s own order, rows are active microstates.
    pub pcca: PccaModel,
    /// Macrostate of each microstate (orphans included); `None` only if it has no frames.
    pub macro_of_micro: Vec<Option<usize>>,
    /// Microstates outside the active set, given to their nearest active neighbour.
    pub orphans: Vec<usize>,
    /// Frames of each macrostate, falling.
    pub macro_populations: Vec<u64>,
    /// Trajectories that visit each macrostate.
    pub macro_visitors: Vec<usize>,
    /// Sliding counts between macrostates at `pair_lag`.
    pub macro_counts: Matrix,
    /// Row-normalised macrostate counts at `pair_lag`: the paper's T.
    pub macro_t: Matrix,
    /// Reversible macrostate matrix at `msm_lag`: T_IJ = sum_{a in I, b in J} pi_a T_ab / pi_I.
    pub macro_t_reversible: Matrix,
    /// Stationary weight of each macrostate from the microstate model.
    pub macro_pi: Vec<f64>,
    /// Timescales of the microstate model over lags.
    pub implied_timescales: Vec<ImpliedTimescales>,
    /// Mean of T_ii of `macro_t`.
    pub mean_self_transition: f64,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// Whatever the caller wants to travel with the model, such as how its features are made.
    #[serde(default)]
    pub origin: String,
}

impl MsmBuilder {
    /// All three lags equal to `lag` frames; 100 microstates, 10 macrostates, 95 %.
    pub fn new(lag: usize) -> Self {
        Self {
            tica_lag: lag,
            msm_lag: lag,
            pair_lag: lag,
            n_microstates: 100,
            n_macrostates: 10,
            var_cutoff: 0.95,
            scaling: Scaling::KineticMap,
            reweighted: false,
            rng_seed: 137,
            kmeans_iterations: 100,
            mini_batch: false,
            timescale_lags: None,
        }
    }

    /// Builds a model of trajectories of features.
    pub fn build<T: Real>(&self, trajectories: &[Rows<'_, T>]) -> Result<Msm, MsmError> {
        let longest = trajectories.iter().map(Rows::n_rows).max().unwrap_or(0);
        self.check(longest, trajectories.len())?;
        common_width(trajectories)?;
        let order = order::of_rows(trajectories)?;
        let sorted: Vec<Rows<'_, T>> = order.iter().map(|i| trajectories[*i]).collect();
        let mut tica = Tica::new(self.tica_lag)
            .scaling(self.scaling)
            .reweighted(self.reweighted)
            .var_cutoff(self.var_cutoff)
            .fit(&sorted)?;
        for warning in &mut tica.warnings {
            if let Warning::SkippedTrajectories { trajectories, .. } = warning {
                trajectories.iter_mut().for_each(|n| *n = order[*n]);
                trajectories.sort_unstable();
            }
        }
        let projected: Vec<Vec<f64>> =
            sorted.iter().map(|rows| tica.transform(rows)).collect::<Result<_, _>>()?;
        let projected: Vec<Rows<'_, f64>> =
            projected.iter().map(|p| Rows::new(p, tica.n_kept)).collect::<Result<_, _>>()?;
        let kmeans = self.microstates(&projected)?;
        let micro_trajectories: Vec<Vec<i32>> =
            projected.iter().map(|rows| kmeans.assign(rows)).collect::<Result<_, _>>()?;
        drop(projected);
        let micro = order::unsorted(&order, micro_trajectories);
        self.assemble(tica, kmeans, StateTrajectories::new(&micro)?)
    }

    /// The model behind given microstates: everything from counts to timescales. `kmeans` are the
    /// centres in the projection of `tica`; -1 in a trajectory is no state.
    pub fn assemble(
        &self,
        tica: TicaModel,
        kmeans: KMeansModel,
        micro_trajectories: StateTrajectories,
    ) -> Result<Msm, MsmError> {
        let mut warnings = tica.warnings.clone();
        let n_micro = kmeans.centers.n_rows();
        let counts =
            count_transitions(&micro_trajectories, n_micro, self.msm_lag, CountMode::Sliding)?;
        let micro = ReversibleMle::default().fit(&counts)?;
        let populations = counts.populations;
        warnings.extend(kmeans.warnings.iter().filter(|w| !is_fewer(w)).cloned());
        if n_micro < self.n_microstates {
            warnings.push(Warning::FewerClusters { asked: self.n_microstates, got: n_micro });
        }
        let n_frames = micro_trajectories.total_frames();
        if n_frames < FRAMES_PER_MICROSTATE * n_micro {
            warnings.push(Warning::FewFramesPerState { n_frames, n_states: n_micro });
        }
        warnings.extend(micro.warnings.iter().cloned());
        let pcca = self.metastable_sets(&micro)?;
        warnings.extend(pcca.warnings.iter().filter(|w| !is_fewer(w)).cloned());

        let (macro_of_micro, orphans) = macrostates(&micro, &pcca, &kmeans.centers, &populations);
        let n_macro = macro_of_micro.iter().flatten().max().map_or(0, |m| m + 1);
        if n_macro < self.n_macrostates {
            warnings.push(Warning::FewerMacrostates { asked: self.n_macrostates, got: n_macro });
        }
        let macro_trajectories = Renamed { states: &micro_trajectories, names: &macro_of_micro };
        let coarse =
            count_transitions(&macro_trajectories, n_macro, self.pair_lag, CountMode::Sliding)?;
        warnings.extend(coarse.warnings.iter().cloned().map(|w| match w {
            Warning::SkippedTrajectories { lag, trajectories, .. } => {
                Warning::SkippedTrajectories { what: "pair lag".into(), lag, trajectories }
            }
            other => other,
        }));
        let macro_t = row_normalised(&coarse.counts, true);
        let mean_self_transition =
            (0..n_macro).map(|i| macro_t[(i, i)]).sum::<f64>() / n_macro as f64;
        let off_diagonal =
            |m: &Matrix| (0..n_macro).any(|i| (0..n_macro).any(|j| i != j && m[(i, j)] > 0.0));
        if !off_diagonal(&coarse.counts) {
            warnings.push(Warning::NoTransitionsBetweenStates { lag: self.pair_lag });
        }
        if mean_self_transition < 0.5 {
            warnings.push(Warning::NotMetastable { mean_self_transition });
        }
        let visits = visits(&macro_trajectories, n_macro)?;
        warnings.extend(visits.iter().enumerate().filter_map(one_only));
        let (macro_t_reversible, macro_pi) = lump(&micro, &macro_of_micro, n_macro);
        let lags = self.lags(micro_trajectories.lengths().max().unwrap_or(0));
        let n_timescales = self.n_macrostates.max(2);
        let implied_timescales =
            implied_timescales(&micro_trajectories, n_micro, &lags, n_timescales)?;
        Ok(Msm {
            settings: self.clone(),
            tica,
            inertia: kmeans.inertia().unwrap_or(0.0),
            clustered_frames: n_frames as u64,
            centers: kmeans.centers,
            micro_trajectories,
            micro_populations: populations,
            micro,
            pcca,
            macro_of_micro,
            orphans,
            macro_populations: coarse.populations,
            macro_visitors: visits.iter().map(|v| v.visitors).collect(),
            macro_counts: coarse.counts,
            macro_t,
            macro_t_reversible,
            macro_pi,
            implied_timescales,
            mean_self_transition,
            warnings,
            origin: String::new(),
        })
    }

    /// That lags and sizes fit trajectories of which the longest has `longest` frames.
    pub(crate) fn check(&self, longest: usize, n_trajectories: usize) -> Result<(), MsmError> {
        for (what, lag) in
            [("TICA lag", self.tica_lag), ("MSM lag", self.msm_lag), ("pair lag", self.pair_lag)]
        {
            if lag == 0 {
                return Err(MsmError::InvalidLag { what, lag });
            }
            if longest > 0 && lag >= longest {
                return Err(MsmError::TooShort { lag, longest, n_trajectories });
            }
        }
        for (what, n) in
            [("n_microstates", self.n_microstates), ("n_macrostates", self.n_macrostates)]
        {
            if n == 0 {
                return Err(MsmError::Parameter {
                    what,
                    got: "0".into(),
                    expected: "at least 1".into(),
                });
            }
        }
        Ok(())
    }

    /// Clusters, and their reversible model. So few frames that no microstate is ever seen again
    /// would leave nothing to estimate: the number of centres is then halved until one is.
    fn microstates(&self, projected: &[Rows<'_, f64>]) -> Result<KMeansModel, MsmError> {
        let mut k = self.n_microstates;
        loop {
            let kmeans = self.centers(k, projected)?;
            let micro_trajectories: Vec<Vec<i32>> =
                projected.iter().map(|rows| kmeans.assign(rows)).collect::<Result<_, _>>()?;
            let n = kmeans.centers.n_rows();
            let counts =
                count_transitions(&micro_trajectories, n, self.msm_lag, CountMode::Sliding)?;
            match ReversibleMle::default().fit(&counts) {
                Err(MsmError::NoTransitions { .. }) if n > 1 => k = n / 2,
                Err(e) => return Err(e),
                Ok(_) => return Ok(kmeans),
            }
        }
    }

    /// `k` centres of these points, or half as many as there are points: a state that holds one
    /// frame is never seen again.
    pub(crate) fn centers(
        &self,
        k: usize,
        points: &[Rows<'_, f64>],
    ) -> Result<KMeansModel, MsmError> {
        let n_points: usize = points.iter().map(Rows::n_rows).sum();
        let k = k.min((n_points / 2).max(1));
        KMeans::new(k, self.rng_seed).max_iterations(self.kmeans_iterations).fit(points)
    }

    /// PCCA+ with as many sets as asked, or as many as the active states allow.
    fn metastable_sets(&self, micro: &MarkovModel) -> Result<PccaModel, MsmError> {
        let mut m = self.n_macrostates.min(micro.active.len());
        loop {
            match Pcca::new(m).fit(&micro.t, &micro.pi) {
                Err(MsmError::Numerical { .. }) if m > 1 => m -= 1,
                result => return result,
            }
        }
    }

    fn lags(&self, longest: usize) -> Vec<usize> {
        if let Some(lags) = &self.timescale_lags {
            return lags.clone();
        }
        let limit = (10 * self.msm_lag).min(longest / 3);
        let mut lags: Vec<usize> = (0..12)
            .flat_map(|decade| [1, 2, 5].map(|f| f * 10_usize.pow(decade)))
            .filter(|&lag| lag <= limit)
            .chain([self.msm_lag])
            .collect();
        lags.sort_unstable();
        lags.dedup();
        lags
    }
}

fn is_fewer(w: &Warning) -> bool {
    matches!(w, Warning::FewerMacrostates { .. } | Warning::FewerClusters { .. })
}

/// Macrostate of each microstate, numbered by falling number of frames, and the orphans.
fn macrostates(
    micro: &MarkovModel,
    pcca: &PccaModel,
    centers: &Matrix,
    populations: &[u64],
) -> (Vec<Option<usize>>, Vec<usize>) {
    let n = centers.n_rows();
    let mut set_of: Vec<Option<usize>> = vec![None; n];
    let mut orphans = Vec::new();
    for i in 0..n {
        if let Some(row) = micro.row_of_state[i] {
            set_of[i] = Some(pcca.assignments[row]);
        } else if populations[i] > 0 {
            let distance = |a: usize| -> f64 {
                centers.row(i).iter().zip(centers.row(a)).map(|(x, y)| (x - y) * (x - y)).sum()
            };
            let nearest = (0..micro.active.len())
                .min_by(|&a, &b| distance(micro.active[a]).total_cmp(&distance(micro.active[b])));
            set_of[i] = nearest.map(|row| pcca.assignments[row]);
            orphans.push(i);
        }
    }
    let mut frames = vec![0u64; pcca.weights.len()];
    for i in 0..n {
        if let Some(s) = set_of[i] {
            frames[s] += populations[i];
        }
    }
    let mut order: Vec<usize> = (0..frames.len()).filter(|&s| frames[s] > 0).collect();
    let lowest = |s: usize| set_of.iter().position(|o| *o == Some(s));
    order.sort_by_key(|&s| (std::cmp::Reverse(frames[s]), lowest(s)));
    let mut label = vec![None; frames.len()];
    order.iter().enumerate().for_each(|(new, &old)| label[old] = Some(new));
    (set_of.iter().map(|s| s.and_then(|s| label[s])).collect(), orphans)
}

/// T_IJ = sum pi_a T_ab / pi_I over active microstates; rows without weight stay put.
fn lump(micro: &MarkovModel, map: &[Option<usize>], n_macro: usize) -> (Matrix, Vec<f64>) {
    let mut t = Matrix::zeros(n_macro, n_macro);
    let mut pi = vec![0.0; n_macro];
    for (a, &i) in micro.active.iter().enumerate() {
        let Some(from) = map[i] else { continue };
        pi[from] += micro.pi[a];
        for (b, &j) in micro.active.iter().enumerate() {
            if let Some(to) = map[j] {
                t[(from, to)] += micro.pi[a] * micro.t[(a, b)];
            }
        }
    }
    (row_normalised(&t, true), pi)
}

impl Msm {
    /// Microstate and macrostate of each frame of new features (-1: none).
    pub fn assign<T: Real>(&self, rows: &Rows<'_, T>) -> Result<(Vec<i32>, Vec<i32>), MsmError> {
        crate::rows::check_finite(rows, 0, 0, rows.n_rows())?;
        let projected = self.tica.transform(rows)?;
        let micro = assign(&self.centers, &Rows::new(&projected, self.tica.n_kept)?)?;
        let coarse = micro.iter().map(|s| Renamed::name(&self.macro_of_micro, *s)).collect();
        Ok((micro, coarse))
    }

    /// Macrostate of every frame of a trajectory that the model was built of.
    pub fn macro_trajectory(&self, number: usize) -> Result<Vec<i32>, MsmError> {
        let states = self.macrostates();
        Ok(states.span(number, 0, states.n_frames(number))?.into_owned())
    }

    /// Macrostates, to be read span by span.
    pub(crate) fn macrostates(&self) -> Renamed<'_> {
        Renamed { states: &self.micro_trajectories, names: &self.macro_of_micro }
    }

    /// Macrostate of every frame, per trajectory: four bytes per frame.
    pub fn macro_trajectories(&self) -> Result<Vec<Vec<i32>>, MsmError> {
        (0..self.micro_trajectories.len()).map(|t| self.macro_trajectory(t)).collect()
    }

    /// Number of (non-empty) macrostates.
    pub fn n_macrostates(&self) -> usize {
        self.macro_t.n_rows()
    }

    /// Eigenvalues on both sides of the cut between kept and dropped processes.
    pub fn spectral_gap(&self) -> Option<(f64, f64)> {
        Some((*self.pcca.eigenvalues.last()?, self.pcca.next_eigenvalue?))
    }

    /// Chapman-Kolmogorov test of the microstate model on the macrostates.
    pub fn chapman_kolmogorov(
        &self,
        multiples: &[usize],
    ) -> Result<Vec<ChapmanKolmogorov>, MsmError> {
        let chi = self.crisp();
        chapman_kolmogorov(&self.micro_trajectories, &self.micro, &chi, multiples)
    }

    /// Error bars of that test, for each multiple.
    pub fn kolmogorov_bars(
        &self,
        multiples: &[usize],
        bars: &ErrorBars,
    ) -> Result<Vec<KolmogorovBars>, MsmError> {
        kolmogorov_bars(&self.micro_trajectories, &self.micro, &self.crisp(), multiples, bars)
    }

    /// 1 where an active microstate (row) is of a macrostate (column).
    fn crisp(&self) -> Matrix {
        let mut chi = Matrix::zeros(self.micro.active.len(), self.n_macrostates());
        for (row, &i) in self.micro.active.iter().enumerate() {
            if let Some(s) = self.macro_of_micro[i] {
                chi[(row, s)] = 1.0;
            }
        }
        chi
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Noise;

    /// A particle hopping between three wells, seen through four features.
    fn wells(n: usize, seed: u64) -> Vec<f64> {
        let mut noise = Noise::new(seed);
        let mut well = seed as usize % 3;
        (0..n)
            .flat_map(|_| {
                if noise.uniform() < 0.01 {
                    well = [1, [0, 2][noise.below(2)], 1][well];
                }
                let x = [-4.0, 0.0, 5.0][well] + 0.4 * noise.normal();
                let y = noise.normal();
                [x + 0.1 * y, y, 0.3 * x + noise.normal(), 7.0]
            })
            .collect()
    }

    fn build(settings: &MsmBuilder, data: &[Vec<f64>]) -> Result<Msm, MsmError> {
        let rows: Vec<Rows<'_, f64>> = data.iter().map(|d| Rows::new(d, 4).unwrap()).collect();
        settings.build(&rows)
    }

    fn settings() -> MsmBuilder {
        MsmBuilder { n_microstates: 30, n_macrostates: 3, ..MsmBuilder::new(2) }
    }

    #[test]
    fn three_wells_are_three_macrostates() {
        let data: Vec<Vec<f64>> = (0..4).map(|s| wells(4000, s)).collect();
        let msm = build(&settings(), &data).unwrap();
        assert_eq!(msm.n_macrostates(), 3);
        assert!(msm.macro_populations.windows(2).all(|w| w[0] >= w[1]));
        assert!(msm.mean_self_transition > 0.95);
        for (t, d) in msm.macro_trajectories().unwrap().iter().zip(&data) {
            for (s, row) in t.iter().zip(d.chunks(4)) {
                // the middle well has most frames
                let well = if row[0] < -2.0 { 1 } else { i32::from(row[0] > 2.5) * 2 };
                let same = *s == 0 && well == 0 || *s != 0 && well != 0;
                assert!(same, "{s} {row:?}");
            }
        }
        let rows = Rows::new(&data[0], 4).unwrap();
        let (micro, coarse) = msm.assign(&rows).unwrap();
        assert_eq!(micro, msm.micro_trajectories.trajectory(0).unwrap());
        assert_eq!(coarse, msm.macro_trajectory(0).unwrap());
        for (a, b) in msm.macro_t.as_slice().iter().zip(msm.macro_t_reversible.as_slice()) {
            assert!((a - b).abs() < 0.02, "{a} {b}");
        }
        let ck = msm.chapman_kolmogorov(&[1, 2, 5]).unwrap();
        assert!(ck.iter().all(|c| c.max_deviation() < 0.03));
        for sampler in [
            msm.pair_sampler(3).unwrap(),
            msm.micro_pair_sampler(3).unwrap(),
            msm.reweighted_pair_sampler(3).unwrap(),
            msm.symmetric_pair_sampler(3).unwrap(),
        ] {
            let (a, b) = sampler.draw(11);
            assert!(a.0 < 4 && a.1 < 4000 && b.0 < 4 && b.1 < 4000);
        }
    }

    #[test]
    fn order_of_trajectories_and_threads_do_not_matter() {
        let data: Vec<Vec<f64>> = (0..3).map(|s| wells(3000, s)).collect();
        let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let a = pool(1).install(|| build(&settings(), &data).unwrap());
        let b = pool(4).install(|| build(&settings(), &data).unwrap());
        assert_eq!(a, b);
        let turned = [data[2].clone(), data[0].clone(), data[1].clone()];
        let mut c = build(&settings(), &turned).unwrap();
        let mut micro = c.micro_trajectories.to_vecs().unwrap();
        micro.rotate_left(1);
        c.micro_trajectories = StateTrajectories::new(&micro).unwrap();
        assert_eq!(a, c);
    }

    #[test]
    fn short_and_poor_data_is_reported_never_fatal() {
        // 40 frames, 100 microstates, 10 macrostates
        let data = [wells(40, 1), wells(1, 2), vec![]];
        let msm = build(&MsmBuilder::new(2), &data).unwrap();
        assert!(msm.centers.n_rows() <= 41);
        assert!(msm.n_macrostates() < 10);
        let has = |f: fn(&Warning) -> bool| msm.warnings.iter().any(f);
        assert!(has(|w| matches!(w, Warning::FewerClusters { asked: 100, .. })));
        assert!(has(|w| matches!(w, Warning::FewerMacrostates { asked: 10, .. })));
        assert!(has(|w| matches!(w, Warning::SkippedTrajectories { .. })));
        assert!(has(|w| matches!(w, Warning::StatesOutsideActiveSet { .. })));
        assert!(!msm.orphans.is_empty());
        // every frame has a macrostate, orphans too
        assert!(msm.macro_trajectories().unwrap().iter().flatten().all(|s| *s >= 0));
        assert!(crate::estimate::check_stochastic(&msm.macro_t).is_ok());
        assert!(msm.pair_sampler(1).is_ok());
    }

    #[test]
    fn bad_input_is_a_typed_error() {
        let mut data = vec![wells(100, 1), wells(50, 2)];
        for (tica, msm, pair) in [(100, 2, 2), (2, 100, 2), (2, 2, 100)] {
            let s = MsmBuilder { tica_lag: tica, msm_lag: msm, pair_lag: pair, ..settings() };
            assert_eq!(
                build(&s, &data).unwrap_err(),
                MsmError::TooShort { lag: 100, longest: 100, n_trajectories: 2 }
            );
        }
        assert!(build(&MsmBuilder::new(0), &data).is_err());
        assert!(build(&MsmBuilder { n_macrostates: 0, ..settings() }, &data).is_err());
        data[1][4 * 3 + 2] = f64::NAN;
        assert!(matches!(
            build(&settings(), &data).unwrap_err(),
            MsmError::NotFinite { trajectory: 1, frame: 3, feature: 2, .. }
        ));
        let still = vec![vec![1.0; 400]];
        assert!(matches!(build(&settings(), &still).unwrap_err(), MsmError::NoVariance { .. }));
        assert!(build(&settings(), &[]).is_err());
    }

    #[test]
    fn one_macrostate_is_legal_and_flagged() {
        let data = [wells(300, 1)];
        let msm = build(&MsmBuilder { n_macrostates: 1, ..settings() }, &data).unwrap();
        assert_eq!(msm.macro_t, Matrix::identity(1));
        assert!(msm.warnings.contains(&Warning::NoTransitionsBetweenStates { lag: 2 }));
    }
}
