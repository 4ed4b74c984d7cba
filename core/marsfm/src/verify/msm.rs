//! `marsfm verify msm`: TICA, k-means, counts, estimation, PCCA+, validation against stored numbers.
//!
//! Driven by what a case holds: features `X` with `tica_*` and `kmeans_*`, discrete trajectories
//! (`dtraj`, else `kmeans_assignments`) with `msm_*`, known chains `exact_*`, posterior moments
//! `bayes_*`; lags and scalars come from `systems.<stem>` of the JSON. Tolerances: MSM.md section 6.
//! PCCA+ is judged by its objective, crisp sets only where the spectrum has a gap.

use anyhow::{Context, Result, anyhow, ensure};
use marsfm_msm::counts::{CountMatrix, CountMode, connected_sets, count_transitions};
use marsfm_msm::estimate::{
    detailed_balance_violation, log_likelihood, non_reversible, reversible_spectrum,
    row_normalised, stationary_distribution,
};
use marsfm_msm::kmeans::{EmptyCluster, KMeans};
use marsfm_msm::kolmogorov::{ChapmanKolmogorov, chapman_kolmogorov};
use marsfm_msm::moments::PairMoments;
use marsfm_msm::pcca::{Pcca, coarse_grain};
use marsfm_msm::tica::timescale;
use marsfm_msm::validate::{mean_first_passage_time, reactive_flux};
use marsfm_msm::vamp::vamp2_score;
use marsfm_msm::{BayesianMsm, MarkovModel, Matrix, ReversibleMle, Rows, Scaling, Tica, TicaModel};
use serde_json::Value;

use super::{Case, Report};

/// Verifies one case.
pub fn run(case: &Case) -> Result<Report> {
    let mut v = Verify { case, report: Report::new(), system: system(case) };
    if case.find("X").is_some() && case.find("tica_eigenvalues").is_some() {
        v.tica()?;
    }
    if case.find("msm_T_rev").is_some() {
        v.msm()?;
    }
    if case.find("largest_set").is_some() {
        v.disconnected()?;
    }
    if case.find("exact_T").is_some() {
        v.exact()?;
    }
    ensure!(
        !v.report.tensors.is_empty(),
        "{}: has neither tica_*, msm_*, largest_set nor exact_T: it is no MSM case",
        case.path.display()
    );
    Ok(v.report)
}

fn system(case: &Case) -> Value {
    match case.json.get("systems") {
        Some(systems) => systems.get(case.stem()).cloned().unwrap_or(Value::Null),
        None => case.json.clone(),
    }
}

struct Verify<'a> {
    case: &'a Case,
    report: Report,
    system: Value,
}

impl Verify<'_> {
    /// A scalar of the manifest: of the group, else of the system.
    fn scalar(&self, group: &str, name: &str) -> Option<f64> {
        let of = |v: &Value| v.get(name).and_then(Value::as_f64);
        self.system.get(group).and_then(of).or_else(|| of(&self.system))
    }

    /// Error of T in those reference models that were not converged tightly (other lags than the
    /// main one): the manifest's difference between tight and default convergence.
    fn slack(&self) -> f64 {
        self.scalar("msm", "max_diff_T_rev_tight_vs_default").unwrap_or(0.0)
    }

    fn lag(&self, group: &str) -> Result<usize> {
        let lag = self.scalar(group, "lag").ok_or_else(|| {
            anyhow!("{}: the JSON gives no lag for {}", self.case.path.display(), self.case.stem())
        })?;
        Ok(lag as usize)
    }

    fn matrix(&self, name: &str) -> Result<Matrix> {
        let a = self.case.get(name)?;
        ensure!(a.shape.len() == 2, "{name}: expected a matrix, got shape {:?}", a.shape);
        Ok(Matrix::from_vec(a.shape[0], a.shape[1], a.data.clone())?)
    }

    fn indices(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.case.get(name)?.data.iter().map(|v| *v as usize).collect())
    }

    /// Cuts `data` (rows of `width`) at `traj_offsets`.
    fn cut<T: Clone>(&self, data: &[T], width: usize) -> Result<Vec<Vec<T>>> {
        let offsets = self.indices("traj_offsets")?;
        let fits = offsets.windows(2).all(|w| w[0] <= w[1])
            && offsets.last().is_some_and(|o| o * width <= data.len());
        ensure!(fits, "traj_offsets do not fit the {} frames", data.len() / width);
        Ok(offsets.windows(2).map(|w| data[w[0] * width..w[1] * width].to_vec()).collect())
    }

    fn exact(&mut self) -> Result<()> {
        let t = self.matrix("exact_T")?;
        let pi = stationary_distribution(&t)?;
        if let Some(want) = self.case.find("exact_pi") {
            self.report.check_abs("exact_pi", &pi, &want.data, 1e-12);
        }
        if let Some(want) = self.case.find("exact_eigenvalues") {
            let got = reversible_spectrum(&t, &pi)?.eigenvalues;
            self.report.check_abs("exact_eigenvalues", &sorted(&got), &sorted(&want.data), 1e-10);
        }
        if let (Some(sets), Some(m)) = (self.case.find("exact_sets"), self.scalar("msm", "n_meta"))
        {
            let got = Pcca::new(m as usize).fit(&t, &pi)?.assignments;
            let differ = differences(&got, &sets.data);
            self.report.check("exact_sets", differ as f64, 0.0, "exact");
        }
        Ok(())
    }

    fn disconnected(&mut self) -> Result<()> {
        let lag = self.lag("msm")?;
        let want = self.matrix("counts_sliding")?;
        let n = want.n_rows();
        let flat: Vec<i32> = self.case.get("dtraj")?.data.iter().map(|v| *v as i32).collect();
        let counts = count_transitions(&self.cut(&flat, 1)?, n, lag, CountMode::Sliding)?;
        self.exactly("counts_sliding", counts.counts.as_slice(), want.as_slice());
        // Same partition as the labels (states never visited are in no set of ours).
        let labels = self.indices("strong_component_label")?;
        let mut wrong = 0;
        for set in connected_sets(&counts.counts, &counts.populations) {
            let whole: Vec<usize> = (0..n).filter(|&i| labels[i] == labels[set[0]]).collect();
            wrong += usize::from(whole != set);
        }
        self.report.check("strong_component_label", wrong as f64, 0.0, "exact");
        let set = self.indices("largest_set")?;
        let model = ReversibleMle::default().fit_on(&counts, &set)?;
        self.report.check_abs(
            "T_rev_largest",
            model.t.as_slice(),
            &self.case.get("T_rev_largest")?.data,
            1e-9,
        );
        self.report.check_abs("pi_largest", &model.pi, &self.case.get("pi_largest")?.data, 1e-9);
        Ok(())
    }

    fn exactly(&mut self, name: &str, got: &[f64], want: &[f64]) {
        self.report.check(name, super::max_abs_diff(got, want), 0.0, "exact");
    }

    fn relative(&mut self, name: &str, got: f64, want: f64, tol: f64) {
        self.report.check(name, ((got - want) / want).abs(), tol, "rel");
    }

    fn tica(&mut self) -> Result<()> {
        let x = self.case.get("X")?.clone();
        ensure!(x.shape.len() == 2, "X: expected frames x features, got {:?}", x.shape);
        let width = x.shape[1];
        let parts = self.cut(&x.data, width)?;
        let rows: Vec<Rows<'_, f64>> =
            parts.iter().map(|p| Rows::new(p, width)).collect::<Result<_, _>>()?;
        let lag = self.lag("tica")?;
        let cov = PairMoments::of(&rows, lag)?.0.symmetrised();
        let scale = |a: &[f64]| a.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for (name, got) in [
            ("tica_mean", cov.mean_x.as_slice()),
            ("tica_cov00", cov.c00.as_slice()),
            ("tica_cov0t", cov.c0t.as_slice()),
        ] {
            if let Some(want) = self.case.find(name) {
                let largest = scale(cov.c00.as_slice()).max(scale(&want.data));
                let err = super::max_abs_diff(got, &want.data) / largest;
                self.report.check(name, err, 1e-12, "rel");
            }
        }
        let cutoff = self.scalar("tica", "var_cutoff").unwrap_or(0.95);
        let fit = |scaling| Tica::new(lag).var_cutoff(cutoff).scaling(scaling).fit(&rows);
        let model = fit(Scaling::KineticMap)?;
        let want = self.case.get("tica_eigenvalues")?.data.clone();
        self.report.check_abs("tica_eigenvalues", &model.eigenvalues, &want, 1e-10);
        if let Some(kept) = self.scalar("tica", "kept_dims") {
            let err = (model.n_kept as f64 - kept).abs();
            self.report.check("kept_dims", err, 0.0, "exact");
        }
        if let Some(rank) = self.scalar("tica", "rank") {
            let err = (model.eigenvalues.len() as f64 - rank).abs();
            self.report.check("rank", err, 0.0, "exact");
        }
        if let Some(want) = self.case.find("tica_timescales") {
            let err = largest_relative(&model.timescales(), &want.data);
            self.report.check("tica_timescales", err, 1e-7, "rel");
        }
        if let Some(want) = self.case.find("tica_cum_kinetic_variance") {
            let got = model.cumulative_kinetic_variance();
            self.report.check_abs("tica_cum_kinetic_variance", &got, &want.data, 1e-10);
        }
        let signs = self.eigenvectors(&model, &fit(Scaling::CommuteMap)?)?;
        if let Some(want) = self.case.find("vamp_singular_values") {
            let vamp = Tica::new(lag).reversible(false).fit(&rows)?;
            self.report.check_abs("vamp_singular_values", &vamp.eigenvalues, &want.data, 1e-9);
        }
        if let Some(want) = self.scalar("tica", "vamp2_score") {
            self.relative("vamp2_score", vamp2_score(&rows, lag, width)?, want, 1e-10);
        }
        let projected: Vec<Vec<f64>> = rows
            .iter()
            .map(|r| {
                let mut y = model.transform(r)?;
                for row in y.chunks_exact_mut(model.n_kept) {
                    row.iter_mut().zip(&signs).for_each(|(v, s)| *v *= s);
                }
                Ok(y)
            })
            .collect::<Result<_>>()?;
        if let Some(head) = self.case.find("tica_km_projection_head") {
            let got = &projected[0][..head.data.len().min(projected[0].len())];
            self.report.check_abs("tica_km_projection_head", got, &head.data, 1e-8);
        }
        if self.case.find("kmeans_init_centers").is_some() {
            self.kmeans(&projected, model.n_kept)?;
        }
        Ok(())
    }

    /// Compares columns up to a sign where neighbouring |l| differ by more than 1e-4; returns the
    /// sign that turns each of our components into the stored one.
    fn eigenvectors(&mut self, kinetic: &TicaModel, commute: &TicaModel) -> Result<Vec<f64>> {
        let l = &kinetic.eigenvalues;
        let apart = |j: usize| {
            let gap = |a: usize, b: usize| (l[a].abs() - l[b].abs()).abs() > 1e-4;
            (j == 0 || gap(j - 1, j)) && (j + 1 >= l.len() || gap(j, j + 1))
        };
        let mut signs = vec![1.0; kinetic.n_kept];
        let unit = vec![1.0; l.len()];
        for (name, model, factors) in [
            ("tica_eigenvectors", kinetic, &unit),
            ("tica_km_eigenvectors", kinetic, &kinetic.scale),
            ("tica_cm_eigenvectors", commute, &commute.scale),
        ] {
            let Some(want) = self.case.find(name).cloned() else { continue };
            ensure!(
                want.shape == [model.mean.len(), l.len()],
                "{name}: shape {:?}, expected {:?}",
                want.shape,
                [model.mean.len(), l.len()]
            );
            let mut worst = 0.0_f64;
            for j in (0..l.len()).filter(|&j| apart(j)) {
                let reference = |i: usize| want.data[i * l.len() + j];
                let ours = |i: usize| model.eigenvectors[(i, j)] * factors[j];
                let dot: f64 = (0..model.mean.len()).map(|i| reference(i) * ours(i)).sum();
                let sign = dot.signum();
                if name == "tica_km_eigenvectors" && j < signs.len() {
                    signs[j] = sign;
                }
                let largest = (0..model.mean.len()).map(|i| reference(i).abs()).fold(1.0, f64::max);
                for i in 0..model.mean.len() {
                    worst = worst.max((sign * ours(i) - reference(i)).abs() / largest);
                }
            }
            self.report.check(name, worst, 1e-8, "up to sign");
        }
        Ok(signs)
    }

    fn kmeans(&mut self, projected: &[Vec<f64>], width: usize) -> Result<()> {
        let rows: Vec<Rows<'_, f64>> =
            projected.iter().map(|p| Rows::new(p, width)).collect::<Result<_, _>>()?;
        let start = self.matrix("kmeans_init_centers")?;
        let lloyd = |iterations| {
            KMeans::new(start.n_rows(), 0)
                .max_iterations(iterations)
                .tolerance(0.0)
                .empty_cluster(EmptyCluster::Keep)
                .fit_from(&rows, start.clone())
        };
        if let Some(want) = self.case.find("kmeans_inertias_20").cloned() {
            let model = lloyd(want.data.len())?;
            let err = largest_relative(&model.inertias, &want.data);
            self.report.check("kmeans_inertias_20", err, 1e-12, "rel");
            if let Some(centers) = self.case.find("kmeans_centers_20") {
                let got = model.centers.as_slice();
                self.report.check_abs("kmeans_centers_20", got, &centers.data, 1e-10);
            }
        }
        let last = lloyd(100_000)?;
        if let Some(want) = self.case.find("kmeans_centers_final") {
            let got = last.centers.as_slice();
            self.report.check_abs("kmeans_centers_final", got, &want.data, 1e-10);
        }
        if let Some(want) = self.scalar("kmeans", "inertia_final") {
            self.relative("kmeans_inertia_final", last.inertia().unwrap_or(0.0), want, 1e-12);
        }
        if let Some(want) = self.case.find("kmeans_assignments").cloned() {
            let mut got = Vec::new();
            for r in &rows {
                got.extend(last.assign(r)?.into_iter().map(f64::from));
            }
            let differ = got.iter().zip(&want.data).filter(|(a, b)| a != b).count()
                + got.len().abs_diff(want.data.len());
            self.report.check("kmeans_assignments", differ as f64, 0.0, "exact");
        }
        Ok(())
    }

    fn msm(&mut self) -> Result<()> {
        let states = match self.case.find("dtraj") {
            Some(d) => d,
            None => self.case.get("kmeans_assignments")?,
        };
        let flat: Vec<i32> = states.data.iter().map(|v| *v as i32).collect();
        let trajectories = self.cut(&flat, 1)?;
        let lag = self.lag("msm")?;
        let n = match self.scalar("msm", "n_micro") {
            Some(n) => n as usize,
            None => flat.iter().max().map_or(0, |m| *m as usize + 1),
        };
        for (name, mode, tol, kind) in [
            ("msm_counts_sliding", CountMode::Sliding, 0.0, "exact"),
            ("msm_counts_sample", CountMode::Sample, 0.0, "exact"),
            ("msm_counts_effective", CountMode::Effective, 1e-12, "rel"),
        ] {
            if let Some(want) = self.case.find(name) {
                let got = count_transitions(&trajectories, n, lag, mode)?.counts;
                let largest = if kind == "rel" {
                    want.data.iter().fold(1.0, |m: f64, v| m.max(*v))
                } else {
                    1.0
                };
                let err = super::max_abs_diff(got.as_slice(), &want.data) / largest;
                self.report.check(name, err, tol, kind);
            }
        }
        let counts = count_transitions(&trajectories, n, lag, CountMode::Sliding)?;
        if let Some(want) = self.case.find("msm_T_rownorm_full") {
            let got = row_normalised(&counts.counts, false);
            self.report.check_abs("msm_T_rownorm_full", got.as_slice(), &want.data, 1e-15);
        }
        let model = ReversibleMle::default().fit(&counts)?;
        if let Some(want) = self.case.find("msm_active_states") {
            let got: Vec<f64> = model.active.iter().map(|i| *i as f64).collect();
            let want = want.data.clone();
            self.exactly("msm_active_states", &got, &want);
        }
        let c = counts.counts.select(&model.active);
        self.estimates(&model, &c)?;
        let free = non_reversible(&counts)?;
        for (name, got, tol) in [
            ("msm_T_nonrev", free.t.as_slice(), 1e-15),
            ("msm_pi_nonrev", free.pi.as_slice(), 1e-12),
        ] {
            if let Some(want) = self.case.find(name) {
                self.report.check_abs(name, got, &want.data, tol);
            }
        }
        if let Some(want) = self.scalar("msm", "loglik_nonrev") {
            self.relative("msm_loglik_nonrev", log_likelihood(&c, &free.t), want, 1e-9);
        }
        self.timescales(&trajectories, n)?;
        self.pcca(&model)?;
        self.coarse(&trajectories, &model)?;
        self.passage(&model)?;
        if self.case.find("bayes_pi_mean").is_some() {
            self.posterior(&counts)?;
        }
        Ok(())
    }

    /// Posterior moments, statistically: means within 3 sigma/sqrt(30), deviations within 25 %.
    fn posterior(&mut self, counts: &CountMatrix) -> Result<()> {
        let posterior = BayesianMsm::new(1000, 1).fit(counts)?;
        let k = self.case.find("bayes_timescales_mean").map_or(0, |a| a.data.len());
        for (name, got) in
            [("timescales", posterior.timescales(k)?), ("pi", posterior.stationary())]
        {
            let (Some(mean), Some(std)) = (
                self.case.find(&format!("bayes_{name}_mean")).cloned(),
                self.case.find(&format!("bayes_{name}_std")).cloned(),
            ) else {
                continue;
            };
            let off = got.mean.iter().zip(&mean.data).zip(&std.data);
            let worst = off.map(|((g, m), s)| (g - m).abs() / s).fold(0.0, f64::max);
            let tol = 3.0 / 30.0_f64.sqrt();
            self.report.check(&format!("bayes_{name}_mean"), worst, tol, "standard deviations");
            let err = largest_relative(&got.std, &std.data);
            self.report.check(&format!("bayes_{name}_std"), err, 0.25, "rel");
        }
        Ok(())
    }

    fn estimates(&mut self, model: &MarkovModel, counts: &Matrix) -> Result<()> {
        for (name, got) in [("msm_T_rev", model.t.as_slice()), ("msm_pi_rev", model.pi.as_slice())]
        {
            if let Some(want) = self.case.find(name) {
                self.report.check_abs(name, got, &want.data, 1e-9);
            }
        }
        let residual = detailed_balance_violation(&model.t, &model.pi);
        self.report.check("detailed_balance", residual, 1e-14, "residual");
        if let Some(want) = self.scalar("msm", "loglik_rev") {
            let short = (want - log_likelihood(counts, &model.t)) / want.abs();
            self.report.check("msm_loglik_rev", short.max(0.0), 1e-9, "not below, rel");
        }
        let mut values = model.spectrum()?.eigenvalues;
        values.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
        if let Some(want) = self.case.find("msm_eigenvalues_rev") {
            let got = &values[..want.data.len().min(values.len())];
            self.report.check_abs("msm_eigenvalues_rev", got, &want.data, 1e-9);
        }
        if let Some(want) = self.case.find("msm_timescales_rev") {
            let got: Vec<f64> = values[1..]
                .iter()
                .take(want.data.len())
                .map(|l| timescale(*l, model.lag as f64))
                .collect();
            let err = largest_relative(&got, &want.data);
            self.report.check("msm_timescales_rev", err, 1e-7, "rel");
        }
        if let Some(want) = self.case.find("exact_timescales_frames") {
            let got = model.timescales(3)?;
            let err = largest_relative(&got, &want.data[..got.len()]);
            self.report.check("exact_timescales_frames", err, 0.2, "statistical");
        }
        Ok(())
    }

    fn timescales(&mut self, trajectories: &[Vec<i32>], n: usize) -> Result<()> {
        let (Some(lags), Some(want)) =
            (self.case.find("msm_its_lags"), self.case.find("msm_its_timescales").cloned())
        else {
            return Ok(());
        };
        let width = want.shape.get(1).copied().unwrap_or(0);
        let mut worst = 0.0_f64;
        for (lag, row) in lags.data.iter().zip(want.data.chunks(width.max(1))) {
            let counts = count_transitions(trajectories, n, *lag as usize, CountMode::Sliding)?;
            let model = ReversibleMle::default().fit(&counts)?;
            let mut values = model.spectrum()?.eigenvalues;
            values.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
            for (l, t) in values[1..].iter().zip(row).filter(|(_, t)| t.is_finite()) {
                let error = (timescale(*l, *lag) / t - 1.0).abs();
                worst = worst.max(error - 4.0 * self.slack() * t / lag);
            }
        }
        self.report.check("msm_its_timescales", worst.max(0.0), 1e-7, "rel");
        Ok(())
    }

    fn pcca(&mut self, model: &MarkovModel) -> Result<()> {
        let Some(want) = self.case.find("msm_pcca_assignments").cloned() else { return Ok(()) };
        let m = self.scalar("msm", "n_meta").context("the JSON gives no n_meta")? as usize;
        let got = Pcca::new(m).fit(&model.t, &model.pi)?;
        if let Some(reference) = self.scalar("msm", "pcca_trace_S") {
            let short = (reference - got.objective) / reference;
            self.report.check("msm_pcca_objective", short.max(0.0), 1e-6, "objective");
        }
        if let Some(reference) = self.scalar("msm", "pcca_trace_S_inner_simplex_feasible") {
            self.relative("msm_pcca_inner_simplex", got.objective_inner_simplex, reference, 1e-8);
        }
        let chi = &got.memberships;
        let rows = (0..chi.n_rows()).map(|i| (chi.row(i).iter().sum::<f64>() - 1.0).abs());
        self.report.check("msm_pcca_row_sums", rows.fold(0.0, f64::max), 1e-12, "abs");
        let outside = chi.as_slice().iter().map(|v| (v - v.clamp(0.0, 1.0)).abs());
        self.report.check("msm_pcca_range", outside.fold(0.0, f64::max), 0.0, "exact");
        let gap = got.eigenvalues.last().copied().zip(got.next_eigenvalue);
        let gapped = gap.is_none_or(|(last, next)| next <= 0.0 || next.ln() < 2.0 * last.ln());
        if gapped {
            let differ = differences(&got.assignments, &want.data);
            self.report.check("msm_pcca_assignments", differ as f64, 0.0, "exact");
            if let Some(sets) = self.case.find("exact_sets")
                && sets.data.len() == model.active.len()
            {
                let differ = differences(&got.assignments, &sets.data);
                self.report.check("exact_sets_recovered", differ as f64, 0.0, "exact");
            }
        }
        Ok(())
    }

    /// What follows from the stored sets and memberships.
    fn coarse(&mut self, trajectories: &[Vec<i32>], model: &MarkovModel) -> Result<()> {
        if let Some(sets) = self.case.find("msm_pcca_assignments").cloned()
            && self.case.find("msm_macro_counts").is_some()
        {
            let label = |s: &i32| {
                let row = usize::try_from(*s).ok().and_then(|s| model.row_of_state[s]);
                row.map_or(-1, |r| sets.data[r] as i32)
            };
            let coarse: Vec<Vec<i32>> =
                trajectories.iter().map(|t| t.iter().map(label).collect()).collect();
            let m = self.case.get("msm_macro_counts")?.shape[0];
            let counts = count_transitions(&coarse, m, model.lag, CountMode::Sliding)?.counts;
            let want = self.case.get("msm_macro_counts")?.data.clone();
            self.exactly("msm_macro_counts", counts.as_slice(), &want);
            if let Some(want) = self.case.find("msm_macro_T") {
                let got = row_normalised(&counts, true);
                self.report.check_abs("msm_macro_T", got.as_slice(), &want.data, 1e-15);
            }
        }
        if self.case.find("msm_pcca_memberships").is_none() {
            return Ok(());
        }
        let chi = self.matrix("msm_pcca_memberships")?;
        let (t, pi) = coarse_grain(&model.t, &model.pi, &chi)?;
        for (name, got) in
            [("msm_pcca_T_coarse", t.as_slice()), ("msm_pcca_pi_coarse", pi.as_slice())]
        {
            if let Some(want) = self.case.find(name) {
                self.report.check_abs(name, got, &want.data, 1e-8);
            }
        }
        if let Some(want) = self.case.find("msm_ck_predicted").cloned() {
            let multiples: Vec<usize> = (1..=want.shape[0]).collect();
            let tests = chapman_kolmogorov(trajectories, model, &chi, &multiples)?;
            let flat = |f: fn(&ChapmanKolmogorov) -> &Matrix| -> Vec<f64> {
                tests.iter().flat_map(|t| f(t).as_slice().iter().copied()).collect()
            };
            let (predicted, estimated) = (flat(|t| &t.predicted), flat(|t| &t.estimated));
            self.report.check_abs("msm_ck_predicted", &predicted, &want.data, 1e-8);
            if let Some(want) = self.case.find("msm_ck_estimated") {
                let tol = 1e-8 + 4.0 * self.slack();
                self.report.check_abs("msm_ck_estimated", &estimated, &want.data, tol);
            }
        }
        Ok(())
    }

    fn passage(&mut self, model: &MarkovModel) -> Result<()> {
        if self.case.find("msm_tpt_A").is_none() {
            return Ok(());
        }
        let (a, b) = (self.indices("msm_tpt_A")?, self.indices("msm_tpt_B")?);
        let flux = reactive_flux(&model.t, &model.pi, model.lag, &a, &b)?;
        let pairs: [(&str, &[f64]); 2] = [
            ("msm_tpt_forward_committor", &flux.forward_committor),
            ("msm_tpt_net_flux", flux.net_flux.as_slice()),
        ];
        for (name, got) in pairs {
            if let Some(want) = self.case.find(name) {
                self.report.check_abs(name, got, &want.data, 1e-8);
            }
        }
        let mfpt = mean_first_passage_time(&model.t, &model.pi, model.lag, &a, &b)?;
        for (name, got) in [
            ("tpt_total_flux", flux.total_flux),
            ("tpt_rate", flux.rate),
            ("mfpt_A_to_B_steps", mfpt),
        ] {
            if let Some(want) = self.scalar("msm", name) {
                self.relative(name, got, want, 1e-8);
            }
        }
        Ok(())
    }
}

fn sorted(v: &[f64]) -> Vec<f64> {
    let mut v = v.to_vec();
    v.sort_by(f64::total_cmp);
    v
}

/// Largest |got/want - 1| over finite references; infinite if lengths differ.
fn largest_relative(got: &[f64], want: &[f64]) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    let errors = got.iter().zip(want).map(|(g, w)| if g == w { 0.0 } else { (g / w - 1.0).abs() });
    errors.fold(0.0, |m, e| if e > m || e.is_nan() { e } else { m })
}

/// States whose set differs, up to renaming of sets.
fn differences(got: &[usize], want: &[f64]) -> usize {
    if got.len() != want.len() {
        return usize::MAX;
    }
    let mut name = std::collections::BTreeMap::new();
    let mut used = std::collections::BTreeMap::new();
    got.iter()
        .zip(want)
        .filter(|(g, w)| {
            let w = **w as i64;
            *name.entry(**g).or_insert(w) != w || *used.entry(w).or_insert(**g) != **g
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Array;

    fn cases(test: &str) -> Vec<Case> {
        let Some(shared) = marsfm_test_support::shared_or_skip(test) else { return vec![] };
        let mut files: Vec<_> = std::fs::read_dir(shared.join("fixtures/msm"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
            .collect();
        files.sort();
        assert!(files.len() >= 7);
        files.iter().map(|p| Case::load(p).unwrap()).collect()
    }

    #[test]
    fn every_fixture_passes() {
        for case in cases("verify msm") {
            let report = run(&case).unwrap();
            for (name, check) in
                report.tensors.iter().filter(|(_, c)| c.err > c.tol || c.err.is_nan())
            {
                println!("{} {name}: {check:?}", case.stem());
            }
            if std::env::var_os("MARSFM_VERIFY_PRINT").is_some() {
                println!("{}: {}", case.stem(), serde_json::to_string(&report.tensors).unwrap());
            }
            assert!(report.ok, "{}", case.stem());
        }
    }

    #[test]
    fn a_wrong_number_fails() {
        for mut case in cases("verify msm, spoiled") {
            let name = ["msm_T_rev", "tica_eigenvalues", "T_rev_largest"]
                .into_iter()
                .find(|n| case.find(n).is_some())
                .unwrap();
            let mut spoiled: Array = case.get(name).unwrap().clone();
            spoiled.data[0] += 1e-6;
            case.tensors.insert(name.into(), spoiled);
            assert!(!run(&case).unwrap().ok, "{} {name}", case.stem());
        }
    }

    #[test]
    fn sets_compare_up_to_names() {
        assert_eq!(differences(&[0, 0, 1, 2], &[5.0, 5.0, 3.0, 4.0]), 0);
        assert!(differences(&[0, 0, 1, 2], &[5.0, 4.0, 3.0, 4.0]) > 0);
        assert!(differences(&[0, 1], &[4.0, 4.0]) > 0);
        assert_eq!(differences(&[0], &[]), usize::MAX);
    }
}
