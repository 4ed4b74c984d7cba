//! What a model says: mean first passage times, committors, reactive flux (transition path theory; Metzner, Schütte, Vanden-Eijnden 2009).
//!
//! Sets are given as rows of T; times come out in frames (lag multiplied in).

use serde::{Deserialize, Serialize};

use crate::estimate::check_stochastic;
use crate::matrix::lu_solve;
use crate::states::{Discrete, each_span};
use crate::{Matrix, MsmError, Warning};

fn mark(n: usize, set: &[usize], name: &str) -> Result<Vec<bool>, MsmError> {
    let mut out = vec![false; n];
    if set.is_empty() {
        return Err(MsmError::BadSets(format!("the {name} set is empty")));
    }
    for &i in set {
        *out.get_mut(i).ok_or_else(|| {
            MsmError::BadSets(format!("{name} row {i} does not exist, T has {n} rows"))
        })? = true;
    }
    Ok(out)
}

/// Mean first passage time from each row of T to the set `target`, in frames.
pub fn mean_first_passage_times(
    t: &Matrix,
    lag: usize,
    target: &[usize],
) -> Result<Vec<f64>, MsmError> {
    check_stochastic(t)?;
    let n = t.n_rows();
    let inside = mark(n, target, "target")?;
    let mut a = Matrix::zeros(n, n);
    let mut b = Matrix::zeros(n, 1);
    for i in 0..n {
        if inside[i] {
            a[(i, i)] = 1.0;
            continue;
        }
        b[(i, 0)] = lag as f64;
        for j in 0..n {
            a[(i, j)] = -t[(i, j)];
        }
        // 1 - T_ii as the sum of the others: no cancellation in slow states
        a[(i, i)] = (0..n).filter(|&j| j != i).map(|j| t[(i, j)]).sum();
    }
    Ok(lu_solve(a, b)?.as_slice().to_vec())
}

/// Mean of the first passage times over the stationary distribution within `source`, in frames.
pub fn mean_first_passage_time(
    t: &Matrix,
    pi: &[f64],
    lag: usize,
    source: &[usize],
    target: &[usize],
) -> Result<f64, MsmError> {
    mark(t.n_rows(), source, "source")?;
    let times = mean_first_passage_times(t, lag, target)?;
    let weight: f64 = source.iter().map(|&i| pi[i]).sum();
    Ok(source.iter().map(|&i| pi[i] * times[i]).sum::<f64>() / weight)
}

/// Probability to reach `target` before `source`, from each row of T.
pub fn forward_committor(
    t: &Matrix,
    source: &[usize],
    target: &[usize],
) -> Result<Vec<f64>, MsmError> {
    check_stochastic(t)?;
    let n = t.n_rows();
    let (from, to) = (mark(n, source, "source")?, mark(n, target, "target")?);
    if let Some(i) = (0..n).find(|&i| from[i] && to[i]) {
        return Err(MsmError::BadSets(format!("row {i} is in both")));
    }
    let mut a = Matrix::zeros(n, n);
    let mut b = Matrix::zeros(n, 1);
    for i in 0..n {
        if from[i] || to[i] {
            a[(i, i)] = 1.0;
            b[(i, 0)] = f64::from(u8::from(to[i]));
            continue;
        }
        for j in 0..n {
            a[(i, j)] = -t[(i, j)];
        }
        a[(i, i)] = (0..n).filter(|&j| j != i).map(|j| t[(i, j)]).sum();
    }
    Ok(lu_solve(a, b)?.as_slice().to_vec())
}

/// Reactive flux from a source to a target set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReactiveFlux {
    /// Probability to go to the target next.
    pub forward_committor: Vec<f64>,
    /// Probability to have come from the source last.
    pub backward_committor: Vec<f64>,
    /// max(0, f_ij - f_ji) with f_ij = pi_i q-_i T_ij q+_j, per lag.
    pub net_flux: Matrix,
    /// Net flux that leaves the source, per lag.
    pub total_flux: f64,
    /// Transitions per lag for a system that is on its way from the source.
    pub rate: f64,
    /// 1/rate in frames.
    pub mfpt: f64,
}

/// Transition path theory between two sets of rows of T.
pub fn reactive_flux(
    t: &Matrix,
    pi: &[f64],
    lag: usize,
    source: &[usize],
    target: &[usize],
) -> Result<ReactiveFlux, MsmError> {
    let n = t.n_rows();
    let forward = forward_committor(t, source, target)?;
    if pi.len() != n {
        return Err(MsmError::Size { what: "stationary distribution", expected: n, got: pi.len() });
    }
    // Backward: committor of the time-reversed chain, towards the source.
    let mut reversed = Matrix::zeros(n, n);
    for i in 0..n {
        for j in 0..n {
            reversed[(i, j)] = pi[j] * t[(j, i)] / pi[i];
        }
    }
    let backward = forward_committor(&reversed, target, source)?;
    let gross = |i: usize, j: usize| {
        if i == j { 0.0 } else { pi[i] * backward[i] * t[(i, j)] * forward[j] }
    };
    let mut net_flux = Matrix::zeros(n, n);
    for i in 0..n {
        for j in 0..n {
            net_flux[(i, j)] = (gross(i, j) - gross(j, i)).max(0.0);
        }
    }
    let from = mark(n, source, "source")?;
    let total_flux = (0..n)
        .filter(|&i| from[i])
        .map(|i| (0..n).filter(|&j| !from[j]).map(|j| net_flux[(i, j)]).sum::<f64>())
        .sum::<f64>();
    let on_the_way: f64 = pi.iter().zip(&backward).map(|(p, q)| p * q).sum();
    let rate = total_flux / on_the_way;
    Ok(ReactiveFlux {
        forward_committor: forward,
        backward_committor: backward,
        net_flux,
        total_flux,
        rate,
        mfpt: lag as f64 / rate,
    })
}

/// Sets that only one trajectory visited, from macrostate trajectories.
pub fn visited_by_one<S: Discrete + ?Sized>(
    trajectories: &S,
    n_states: usize,
) -> Result<Vec<Warning>, MsmError> {
    Ok(visits(trajectories, n_states)?.iter().enumerate().filter_map(one_only).collect())
}

/// Who visited a state.
#[derive(Clone, Default)]
pub(crate) struct Visits {
    pub frames: usize,
    /// Trajectories.
    pub visitors: usize,
    last: Option<usize>,
}

/// The warning of a state that only one trajectory visited.
pub(crate) fn one_only((macrostate, v): (usize, &Visits)) -> Option<Warning> {
    let trajectory = v.last.filter(|_| v.visitors == 1)?;
    Some(Warning::OneTrajectoryOnly { macrostate, trajectory, frames: v.frames })
}

/// Visits of every state.
pub(crate) fn visits<S: Discrete + ?Sized>(
    trajectories: &S,
    n_states: usize,
) -> Result<Vec<Visits>, MsmError> {
    let mut all = vec![Visits::default(); n_states];
    each_span(trajectories, |t, _, states| {
        for s in states.iter().filter_map(|&s| usize::try_from(s).ok()) {
            all[s].frames += 1;
            all[s].visitors += usize::from(all[s].last != Some(t));
            all[s].last = Some(t);
        }
        Ok(())
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::stationary_distribution;

    /// Symmetric walk on 0..=n, probability 1/4 to each side.
    fn walk(n: usize) -> Matrix {
        let mut t = Matrix::zeros(n + 1, n + 1);
        for i in 0..=n {
            let mut stay = 1.0;
            for j in [i.wrapping_sub(1), i + 1] {
                if j <= n {
                    t[(i, j)] = 0.25;
                    stay -= 0.25;
                }
            }
            t[(i, i)] = stay;
        }
        t
    }

    #[test]
    fn committor_and_passage_times_of_a_walk() {
        let n = 40;
        let t = walk(n);
        let q = forward_committor(&t, &[0], &[n]).unwrap();
        for (i, v) in q.iter().enumerate() {
            assert!((v - i as f64 / n as f64).abs() < 1e-12); // gambler's ruin
        }
        // Reflecting at n: m(i) = (2 n + 1 - i) i / (2 * 0.25) lags to reach 0.
        let m = mean_first_passage_times(&t, 3, &[0]).unwrap();
        for (i, v) in m.iter().enumerate() {
            let want = 3.0 * 2.0 * (2 * n + 1 - i) as f64 * i as f64;
            assert!((v - want).abs() <= 1e-9 * want.max(1.0), "{v} {want}");
        }
        let pi = stationary_distribution(&t).unwrap();
        let f = reactive_flux(&t, &pi, 3, &[0], &[n]).unwrap();
        let expected = 0.25 / (n as f64 * (n as f64 + 1.0));
        assert!((f.total_flux / expected - 1.0).abs() < 1e-10);
        // the flux is the same through every cut
        for cut in 0..n {
            assert!((f.net_flux[(cut, cut + 1)] / f.total_flux - 1.0).abs() < 1e-9);
        }
        let direct = mean_first_passage_time(&t, &pi, 3, &[0], &[n]).unwrap();
        assert!(direct > 0.0 && f.mfpt > 0.0);
    }

    #[test]
    fn the_two_passage_times_agree_for_single_states_in_a_reversible_chain() {
        let t = Matrix::from_vec(2, 2, vec![0.9, 0.1, 0.3, 0.7]).unwrap();
        let pi = stationary_distribution(&t).unwrap();
        let f = reactive_flux(&t, &pi, 1, &[0], &[1]).unwrap();
        assert!((f.mfpt - 10.0).abs() < 1e-12);
        assert!((mean_first_passage_time(&t, &pi, 1, &[0], &[1]).unwrap() - 10.0).abs() < 1e-12);
    }

    #[test]
    fn bad_sets_are_named() {
        let t = walk(3);
        assert!(forward_committor(&t, &[], &[1]).is_err());
        assert!(forward_committor(&t, &[1], &[1]).is_err());
        assert!(forward_committor(&t, &[9], &[1]).is_err());
        assert!(mean_first_passage_times(&Matrix::identity(2), 1, &[0]).is_err());
        assert_eq!(
            visited_by_one(&[vec![0, 1, -1], vec![0, 0, 2, 2]], 4).unwrap(),
            [
                Warning::OneTrajectoryOnly { macrostate: 1, trajectory: 0, frames: 1 },
                Warning::OneTrajectoryOnly { macrostate: 2, trajectory: 1, frames: 2 },
            ]
        );
    }
}
