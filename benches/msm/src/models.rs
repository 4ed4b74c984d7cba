//! Cases of `marsfm-msm`: arrays in, models out.

use std::path::Path;

use anyhow::{Context, Result};
use marsfm_msm::estimate::{implied_timescales, stationary_distribution};
use marsfm_msm::kmeans::EmptyCluster;
use marsfm_msm::pcca::coarse_grain;
use marsfm_msm::{
    CountMatrix, CountMode, KMeans, Matrix, Pcca, Real, ReversibleMle, Rows, Tica,
    count_transitions,
};
use serde_json::{Value, json};

use crate::npy::{self, Array, Element};
use crate::{Job, Outcome};

/// A whole number among the parameters.
pub fn number(parameters: &Value, name: &str) -> Result<usize> {
    let value = parameters[name].as_u64();
    Ok(value.with_context(|| format!("parameter '{name}' is missing"))? as usize)
}

/// The case of that name, if it is one of these.
pub fn job(case: &str, folder: &Path, p: &Value) -> Result<Option<Job>> {
    Ok(Some(match case {
        "tica_fit"
        | "tica_transform"
        | "tica_transform_into"
        | "kmeans"
        | "assign"
        | "plusplus" => match npy::dtype(&folder.join("x.npy"))?.as_str() {
            "'<f4'" => rows_job::<f32>(case, folder, p)?,
            _ => rows_job::<f64>(case, folder, p)?,
        },
        "counts" | "effective" | "timescales" => states_job(case, folder, p)?,
        "mle" => mle(folder)?,
        "pcca" => pcca(folder, p)?,
        _ => return Ok(None),
    }))
}

fn rows<T: Real>(x: &Array<T>) -> [Rows<'_, T>; 1] {
    [Rows::new(&x.data, x.shape[1]).expect("rows of one width")]
}

fn matrix(path: &Path) -> Result<Matrix> {
    let a = npy::read::<f64>(path)?;
    Ok(Matrix::from_vec(a.shape[0], a.shape[1], a.data)?)
}

fn rows_job<T: Real + Element>(case: &str, folder: &Path, p: &Value) -> Result<Job> {
    let x = npy::read::<T>(&folder.join("x.npy"))?;
    Ok(match case {
        "tica_fit" => {
            let tica = Tica::new(number(p, "lag")?);
            Box::new(move || {
                let model = tica.fit(&rows(&x))?;
                Ok(Outcome {
                    bytes: 0,
                    fingerprint: Box::new(
                        move || json!({ "kept": model.n_kept, "eigenvalues": model.eigenvalues.iter().take(10).collect::<Vec<_>>() }),
                    ),
                })
            })
        }
        "tica_transform" => {
            let model = Tica::new(number(p, "lag")?).dim(number(p, "dim")?).fit(&rows(&x))?;
            Box::new(move || {
                let y = model.transform(&rows(&x)[0])?;
                let m = model.n_kept;
                let bytes = 8 * y.len();
                Ok(Outcome { bytes, fingerprint: Box::new(move || column_sums(&y, m)) })
            })
        }
        "tica_transform_into" => {
            let model = Tica::new(number(p, "lag")?).dim(number(p, "dim")?).fit(&rows(&x))?;
            let y = vec![f64::NAN; rows(&x)[0].n_rows() * model.n_kept]; // in memory from the start
            let y = std::sync::Arc::new(std::sync::Mutex::new(y));
            Box::new(move || {
                let (shared, m) = (y.clone(), model.n_kept);
                model.transform_into(&rows(&x)[0], &mut shared.lock().expect("one thread"))?;
                let sums = move || column_sums(&shared.lock().expect("one thread"), m);
                Ok(Outcome { bytes: 0, fingerprint: Box::new(sums) })
            })
        }
        "kmeans" => {
            let centers = matrix(&folder.join("centers.npy"))?;
            let kmeans = KMeans::new(centers.n_rows(), 1)
                .max_iterations(number(p, "steps")?)
                .tolerance(0.0)
                .empty_cluster(EmptyCluster::Keep);
            Box::new(move || {
                let model = kmeans.fit_from(&rows(&x), centers.clone())?;
                Ok(Outcome {
                    bytes: 0,
                    fingerprint: Box::new(
                        move || json!({ "inertia": model.inertia(), "centers": model.centers.as_slice() }),
                    ),
                })
            })
        }
        "assign" => {
            let centers = matrix(&folder.join("centers.npy"))?;
            Box::new(move || {
                let states = marsfm_msm::kmeans::assign(&centers, &rows(&x)[0])?;
                let k = centers.n_rows();
                Ok(Outcome {
                    bytes: 4 * states.len(),
                    fingerprint: Box::new(move || {
                        let mut histogram = vec![0; k];
                        states.iter().for_each(|s| histogram[*s as usize] += 1);
                        json!({ "histogram": histogram })
                    }),
                })
            })
        }
        _ => {
            let k = number(p, "k")?;
            // Several seeds: a start is a random number.
            let x = std::sync::Arc::new(x);
            Box::new(move || {
                let centers = KMeans::new(k, 7).initial_centers(&rows(&x))?;
                let x = x.clone();
                Ok(Outcome {
                    bytes: 0,
                    fingerprint: Box::new(move || {
                        let mut potentials = vec![potential(&x, &centers)];
                        for seed in 8..12 {
                            let more = KMeans::new(k, seed).initial_centers(&rows(&x));
                            potentials.extend(more.map(|c| potential(&x, &c)));
                        }
                        potentials.sort_by(f64::total_cmp);
                        json!({ "potential": potentials[potentials.len() / 2] })
                    }),
                })
            })
        }
    })
}

/// Sums of absolute values by column.
fn column_sums(y: &[f64], m: usize) -> Value {
    let mut sums = vec![0.0; m];
    for row in y.chunks_exact(m) {
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += v.abs());
    }
    json!({ "sums": sums })
}

/// Sum of squared distances to the nearest centre.
fn potential<T: Real>(x: &Array<T>, centers: &Matrix) -> f64 {
    let rows = &rows(x)[0];
    let states = marsfm_msm::kmeans::assign(centers, rows).unwrap_or_default();
    let distance = |(i, s): (usize, &i32)| -> f64 {
        let center = centers.row(*s as usize);
        rows.row(i).iter().zip(center).map(|(v, c)| (v.to_f64() - c).powi(2)).sum()
    };
    states.iter().enumerate().map(distance).sum()
}

fn states_job(case: &str, folder: &Path, p: &Value) -> Result<Job> {
    let states = npy::read::<i32>(&folder.join("states.npy"))?;
    let trajectories: Vec<Vec<i32>> =
        states.data.chunks_exact(states.shape[1]).map(<[i32]>::to_vec).collect();
    let n = number(p, "n_states")?;
    if case == "timescales" {
        let lags = p["lags"].as_array().context("parameter 'lags' is missing")?;
        let lags: Vec<usize> = lags.iter().filter_map(Value::as_u64).map(|l| l as usize).collect();
        return Ok(Box::new(move || {
            let all = implied_timescales(&trajectories, n, &lags, 5)?;
            Ok(Outcome {
                bytes: 0,
                fingerprint: Box::new(move || {
                    let slowest: Vec<f64> = all.iter().map(|t| t.timescales[0]).collect();
                    json!({ "slowest": slowest })
                }),
            })
        }));
    }
    let lag = number(p, "lag")?;
    let mode = if case == "effective" { CountMode::Effective } else { CountMode::Sliding };
    Ok(Box::new(move || {
        let model = count_transitions(&trajectories, n, lag, mode)?;
        Ok(Outcome {
            bytes: 8 * n * n,
            fingerprint: Box::new(move || {
                let c = model.counts.as_slice();
                let squares: f64 = c.iter().map(|v| v * v).sum();
                let diagonal: f64 = (0..n).map(|i| c[i * n + i]).sum();
                let total: f64 = c.iter().sum();
                json!({ "total": total, "squares": squares, "diagonal": diagonal })
            }),
        })
    }))
}

fn mle(folder: &Path) -> Result<Job> {
    let counts = matrix(&folder.join("counts.npy"))?;
    let n = counts.n_rows();
    let populations = (0..n).map(|i| counts.row(i).iter().sum::<f64>() as u64).collect();
    let mode = CountMode::Sliding;
    let counts = CountMatrix { counts, populations, lag: 1, mode, warnings: vec![] };
    Ok(Box::new(move || {
        let model = ReversibleMle::default().fit(&counts)?;
        let slowest = model.timescales(1)?;
        Ok(Outcome {
            bytes: 8 * n * n,
            fingerprint: Box::new(move || {
                let largest = model.pi.iter().fold(0.0_f64, |m, p| m.max(*p));
                json!({
                    "log_likelihood": model.log_likelihood,
                    "slowest": slowest,
                    "largest_pi": largest,
                    "states": model.active.len(),
                })
            }),
        })
    }))
}

fn pcca(folder: &Path, p: &Value) -> Result<Job> {
    let t = matrix(&folder.join("t.npy"))?;
    let m = number(p, "m")?;
    let gapped = p["gapped"].as_bool().unwrap_or(false);
    Ok(Box::new(move || {
        let pi = stationary_distribution(&t)?;
        let model = Pcca::new(m).fit(&t, &pi)?;
        std::hint::black_box(coarse_grain(&t, &pi, &model.memberships)?);
        Ok(Outcome {
            bytes: 0,
            fingerprint: Box::new(move || {
                let mut seen: Vec<usize> = Vec::new();
                let sets: Vec<usize> = model
                    .assignments
                    .iter()
                    .map(|s| {
                        seen.iter().position(|x| x == s).unwrap_or_else(|| {
                            seen.push(*s);
                            seen.len() - 1
                        })
                    })
                    .collect();
                let sets = if gapped { json!(sets) } else { Value::Null };
                json!({ "objective": model.objective, "sets": sets })
            }),
        })
    }))
}
