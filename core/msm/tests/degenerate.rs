//! Degenerate inputs: each is a typed error or a documented sane result with a warning that is
//! data. One test per row of the table in the documentation of the Markov model room.

use marsfm_msm::counts::{CountMode, count_transitions, states_from_f64};
use marsfm_msm::estimate::{ReversibleMle, non_reversible};
use marsfm_msm::kmeans::{EmptyCluster, KMeans};
use marsfm_msm::{Matrix, Msm, MsmBuilder, MsmError, Pcca, Rows, Tica, Warning};

/// A deterministic wiggle with a slow and a fast part.
fn signal(n: usize, d: usize) -> Vec<f64> {
    (0..n * d)
        .map(|q| {
            let (t, k) = ((q / d) as f64, (q % d) as f64);
            (t * 0.013 * (k + 1.0)).sin() + 0.3 * (t * (1.7 + 0.31 * k)).cos()
        })
        .collect()
}

fn rows(data: &[f64], width: usize) -> Rows<'_, f64> {
    Rows::new(data, width).unwrap()
}

fn matrix(n: usize, data: &[f64]) -> Matrix {
    Matrix::from_vec(n, n, data.to_vec()).unwrap()
}

#[test]
fn constant_duplicate_and_collinear_features_are_dropped_and_named() {
    let x = signal(900, 2);
    let wide: Vec<f64> =
        x.chunks(2).flat_map(|r| [r[0], 3.0, r[0], r[1], r[0] - 2.0 * r[1]]).collect();
    let model = Tica::new(3).fit(&[rows(&wide, 5)]).unwrap();
    assert_eq!(model.eigenvalues.len(), 2);
    assert_eq!(
        model.warnings,
        [Warning::RankDeficient {
            rank: 2,
            n_features: 5,
            constant_columns: vec![1],
            dependent_columns: vec![2, 4],
        }]
    );
    assert!(model.transform(&rows(&wide, 5)).unwrap().iter().all(|v| v.is_finite()));
}

#[test]
fn all_features_constant() {
    let x = vec![0.1; 500];
    let error = Tica::new(3).fit(&[rows(&x, 5)]).unwrap_err();
    assert_eq!(error, MsmError::NoVariance { n_features: 5 });
    assert!(error.to_string().contains("constant"));
}

#[test]
fn features_in_other_units() {
    let x = signal(900, 3);
    let small: Vec<f64> = x.iter().map(|v| v * 1e-4).collect();
    let (a, b) =
        (Tica::new(3).fit(&[rows(&x, 3)]).unwrap(), Tica::new(3).fit(&[rows(&small, 3)]).unwrap());
    assert_eq!(a.n_kept, b.n_kept);
    let (p, q) = (a.transform(&rows(&x, 3)).unwrap(), b.transform(&rows(&small, 3)).unwrap());
    assert!(p.iter().zip(&q).all(|(p, q)| (p - q).abs() < 1e-9));
}

#[test]
fn more_features_than_frames() {
    let x: Vec<f64> = (0..6 * 30).map(|i| ((i * i) as f64 * 0.7).sin()).collect();
    let model = Tica::new(1).fit(&[rows(&x, 30)]).unwrap();
    assert!(model.warnings.contains(&Warning::FewFrames { n_pairs: 5, n_features: 30 }));
}

#[test]
fn nan_or_inf_in_any_frame() {
    for (bad, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
        for frame in [0, 7, 399] {
            let (good, mut x) = (signal(40, 2), signal(400, 2));
            x[2 * frame + 1] = bad;
            let want = MsmError::NotFinite { trajectory: 1, frame, feature: 1, value: name.into() };
            let trajs = [rows(&good, 2), rows(&x, 2)];
            assert_eq!(Tica::new(30).fit(&trajs).unwrap_err(), want);
            assert_eq!(KMeans::new(4, 1).fit(&trajs).unwrap_err(), want);
            assert_eq!(MsmBuilder::new(30).build(&trajs).unwrap_err(), want);
        }
    }
    let model = Tica::new(3).fit(&[rows(&signal(400, 2), 2)]).unwrap();
    assert!(model.transform(&rows(&[1.0, f64::NAN], 2)).unwrap()[0].is_nan());
    let centers = KMeans::new(2, 1).fit(&[rows(&signal(400, 2), 2)]).unwrap();
    assert!(centers.assign(&rows(&[1.0, f64::NAN], 2)).is_err());
}

#[test]
fn trajectories_not_longer_than_the_lag_are_listed() {
    let (long, short) = (signal(200, 2), signal(10, 2));
    let trajs = [rows(&short, 2), rows(&long, 2), rows(&short, 2)];
    let model = Tica::new(10).fit(&trajs).unwrap();
    assert_eq!(
        model.warnings,
        [Warning::SkippedTrajectories {
            what: "tica lag".into(),
            lag: 10,
            trajectories: vec![0, 2]
        }]
    );
    let counts = count_transitions(&[vec![0; 3], vec![0; 30]], 1, 5, CountMode::Sliding).unwrap();
    assert!(matches!(&counts.warnings[..], [Warning::SkippedTrajectories { .. }]));
}

#[test]
fn every_trajectory_too_short() {
    let x = signal(10, 2);
    let want = MsmError::TooShort { lag: 10, longest: 10, n_trajectories: 2 };
    assert_eq!(Tica::new(10).fit(&[rows(&x, 2), rows(&x, 2)]).unwrap_err(), want);
    let error = count_transitions(&[vec![0; 3], vec![1; 10]], 2, 10, CountMode::Sliding);
    assert_eq!(error.unwrap_err(), want);
    assert!(want.to_string().contains("11 frames") && want.to_string().contains("longest"));
}

#[test]
fn lag_zero() {
    let x = signal(10, 2);
    assert!(matches!(Tica::new(0).fit(&[rows(&x, 2)]), Err(MsmError::InvalidLag { .. })));
    let error = count_transitions(&[vec![0; 3]], 2, 0, CountMode::Sliding).unwrap_err();
    assert!(matches!(error, MsmError::InvalidLag { .. }));
    assert!(MsmBuilder::new(0).build(&[rows(&x, 2)]).is_err());
}

#[test]
fn fewer_frames_than_clusters() {
    let x = [0.0, 1.0, 5.0];
    let model = KMeans::new(10, 3).fit(&[rows(&x, 1)]).unwrap();
    assert_eq!(model.centers.n_rows(), 3);
    assert!(model.warnings.contains(&Warning::FewerClusters { asked: 10, got: 3 }));
    let given = Matrix::from_vec(5, 1, vec![0.0, 2.0, 4.0, 6.0, 8.0]).unwrap();
    let model = KMeans::new(5, 3).fit_from(&[rows(&x, 1)], given).unwrap();
    assert!(model.warnings.contains(&Warning::FewerClusters { asked: 5, got: 3 }));
}

#[test]
fn so_few_frames_to_a_microstate_that_transitions_are_noise() {
    let x = signal(300, 2);
    let builder = MsmBuilder { n_macrostates: 2, ..MsmBuilder::new(1) };
    let few = MsmBuilder { n_microstates: 10, ..builder.clone() }.build(&[rows(&x, 2)]).unwrap();
    let told = |m: &Msm| {
        m.warnings.iter().find(|w| matches!(w, Warning::FewFramesPerState { .. })).cloned()
    };
    assert_eq!(told(&few), None);
    let many = MsmBuilder { n_microstates: 50, ..builder }.build(&[rows(&x, 2)]).unwrap();
    let expected = Warning::FewFramesPerState { n_frames: 300, n_states: 50 };
    assert_eq!(told(&many), Some(expected));
}

#[test]
fn duplicate_frames_with_fewer_distinct_points_than_clusters() {
    let x: Vec<f64> = (0..200).map(|i| f64::from(i % 4)).collect();
    let model = KMeans::new(10, 3).fit(&[rows(&x, 1)]).unwrap();
    let mut centers = model.centers.as_slice().to_vec();
    centers.sort_by(f64::total_cmp);
    assert_eq!(centers, [0.0, 1.0, 2.0, 3.0]);
    assert!(model.warnings.contains(&Warning::FewerClusters { asked: 10, got: 4 }));
}

#[test]
fn empty_clusters() {
    let x = signal(500, 1);
    let given = Matrix::from_vec(3, 1, vec![-1.0, 1.0, 1e9]).unwrap();
    let reseeded = KMeans::new(3, 1).fit_from(&[rows(&x, 1)], given.clone()).unwrap();
    assert!(reseeded.centers.as_slice().iter().all(|c| c.abs() < 2.0));
    assert!(reseeded.warnings.contains(&Warning::EmptyClusters { reseeded: 1, empty: vec![] }));
    let kept = KMeans::new(3, 1)
        .empty_cluster(EmptyCluster::Keep)
        .fit_from(&[rows(&x, 1)], given)
        .unwrap();
    assert!(kept.warnings.contains(&Warning::EmptyClusters { reseeded: 0, empty: vec![2] }));
    // and a state without frames is never active
    let states = kept.assign(&rows(&x, 1)).unwrap();
    let counts = count_transitions(&[states], 3, 1, CountMode::Sliding).unwrap();
    assert_eq!(ReversibleMle::default().fit(&counts).unwrap().row_of_state[2], None);
}

#[test]
fn masked_frames_take_part_in_no_pair() {
    let t = [0, 1, -1, 1, 0, 0];
    let c = count_transitions(&[t], 2, 1, CountMode::Sliding).unwrap();
    assert_eq!(c.counts, matrix(2, &[1.0, 1.0, 1.0, 0.0]));
    let c = count_transitions(&[t], 2, 2, CountMode::Sliding).unwrap();
    assert_eq!(c.counts, matrix(2, &[0.0, 0.0, 1.0, 1.0]));
    let c = count_transitions(&[t], 2, 1, CountMode::Effective).unwrap();
    assert!(c.counts.as_slice().iter().all(|v| v.is_finite()));
}

#[test]
fn states_that_are_no_whole_numbers_or_do_not_exist() {
    let error = states_from_f64(&[0.0, 1.5], 4).unwrap_err().to_string();
    assert!(error.contains("1.5") && error.contains("trajectory 4") && error.contains("frame 1"));
    assert!(states_from_f64(&[f64::NAN], 0).is_err());
    assert_eq!(
        count_transitions(&[vec![0, 5]], 3, 1, CountMode::Sliding).unwrap_err(),
        MsmError::StateOutOfRange { trajectory: 0, frame: 1, state: 5, n_states: 3 }
    );
}

/// Two closed groups: {0, 1} with 400 frames, {2, 3, 4} with 40.
fn two_groups() -> Vec<Vec<i32>> {
    vec![
        (0..400).map(|t| i32::from(t % 5 == 0 || t % 7 == 0)).collect(),
        (0..40).map(|t| 2 + [0, 0, 1, 2, 2, 1][t % 6]).collect(),
    ]
}

#[test]
fn disconnected_states_choose_by_frames_and_keep_full_numbering() {
    let c = count_transitions(&two_groups(), 6, 1, CountMode::Sliding).unwrap();
    let model = ReversibleMle::default().fit(&c).unwrap();
    assert_eq!(model.active, [0, 1]); // deeptime would take the three states with 40 frames
    assert_eq!(model.row_of_state, [Some(0), Some(1), None, None, None, None]);
    assert!((model.frame_fraction_active - 400.0 / 440.0).abs() < 1e-12);
    let other = ReversibleMle::default().fit_on(&c, &[2, 3, 4]).unwrap();
    assert_eq!(other.row_of_state[3], Some(1));
    assert_eq!(
        ReversibleMle::default().fit_on(&c, &[1, 2]).unwrap_err(),
        MsmError::NotConnected { n_components: 2 }
    );
}

#[test]
fn several_components_are_weighted_by_counts_and_flagged() {
    let c = count_transitions(&two_groups(), 6, 1, CountMode::Sliding).unwrap();
    let model = ReversibleMle::default().fit_all_sets(&c).unwrap();
    assert!(model.warnings.contains(&Warning::SeveralComponents { n_components: 2 }));
    assert!((model.pi[0] + model.pi[1] - 399.0 / 438.0).abs() < 1e-12);
    assert!((model.pi.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn absorbing_and_transient_states_are_listed_and_still_get_a_macrostate() {
    // 2 transient (first frame), 3 absorbing (last frames)
    let mut t = vec![2];
    t.extend((0..300).map(|t| i32::from(t % 3 == 0)));
    t.extend([3; 5]);
    let c = count_transitions(&[t], 4, 1, CountMode::Sliding).unwrap();
    for model in [ReversibleMle::default().fit(&c).unwrap(), non_reversible(&c).unwrap()] {
        assert_eq!(model.active, [0, 1]);
        assert!(matches!(
            &model.warnings[..],
            [Warning::StatesOutsideActiveSet { states, n_connected_sets: 3, .. }]
                if states == &[2, 3]
        ));
    }
    // In the pipeline such microstates go to the nearest active one.
    let mut x = signal(600, 1);
    x.extend([50.0, 50.0, 50.0]);
    let s = MsmBuilder { n_microstates: 12, n_macrostates: 2, ..MsmBuilder::new(1) };
    let msm = s.build(&[rows(&x, 1)]).unwrap();
    assert_eq!(msm.orphans.len(), 1);
    assert!(msm.macro_of_micro[msm.orphans[0]].is_some());
    assert!(msm.macro_trajectory(0).unwrap().iter().all(|s| *s >= 0));
}

/// A reversible chain of n states in a row.
fn row_of(n: usize, hop: f64) -> (Matrix, Vec<f64>) {
    let mut t = Matrix::identity(n);
    for i in 0..n {
        for j in [i.wrapping_sub(1), i + 1] {
            if j < n {
                t[(i, j)] = hop;
                t[(i, i)] -= hop;
            }
        }
    }
    (t, vec![1.0 / n as f64; n])
}

#[test]
fn pcca_with_an_impossible_number_of_sets() {
    let (t, pi) = row_of(4, 0.1);
    for m in [0, 5] {
        let error = Pcca::new(m).fit(&t, &pi).unwrap_err();
        assert_eq!(error, MsmError::SetsOutOfRange { asked: m, n_states: 4, n_components: 1 });
        assert!(error.to_string().contains("1 to 4"));
    }
}

#[test]
fn pcca_on_the_identity() {
    let pi = [0.2, 0.3, 0.5];
    let p = Pcca::new(3).fit(&Matrix::identity(3), &pi).unwrap();
    assert_eq!(p.memberships.as_slice().iter().filter(|v| **v == 1.0).count(), 3);
    assert!(matches!(
        Pcca::new(2).fit(&Matrix::identity(3), &pi),
        Err(MsmError::SetsOutOfRange { n_components: 3, .. })
    ));
}

#[test]
fn pcca_splits_the_component_with_the_largest_eigenvalue() {
    // states 0..4: slow row; states 4..7: fast mixing
    let (slow, _) = row_of(4, 0.01);
    let mut t = Matrix::zeros(7, 7);
    for i in 0..4 {
        for j in 0..4 {
            t[(i, j)] = slow[(i, j)];
        }
    }
    for i in 4..7 {
        for j in 4..7 {
            t[(i, j)] = if i == j { 0.4 } else { 0.3 };
        }
    }
    let p = Pcca::new(3).fit(&t, &[1.0 / 7.0; 7]).unwrap();
    assert_eq!(p.n_components, 2);
    assert!(p.assignments[4] == p.assignments[5] && p.assignments[4] == p.assignments[6]);
    assert_ne!(p.assignments[0], p.assignments[3]);
    assert_eq!(p.assignments[0], p.assignments[1]);
}

#[test]
fn pcca_of_a_matrix_that_is_not_reversible() {
    let t = matrix(3, &[0.1, 0.8, 0.1, 0.1, 0.1, 0.8, 0.8, 0.1, 0.1]);
    let third = [1.0 / 3.0; 3];
    assert!(matches!(Pcca::new(2).fit(&t, &third), Err(MsmError::NotReversible { .. })));
    let broken = matrix(2, &[0.5, 0.4, 0.5, 0.5]);
    assert!(matches!(
        Pcca::new(2).fit(&broken, &[0.5; 2]),
        Err(MsmError::NotStochastic { row: 0, .. })
    ));
}

#[test]
fn pcca_without_a_gap_is_flagged() {
    let (t, pi) = row_of(60, 0.3);
    let p = Pcca::new(10).fit(&t, &pi).unwrap();
    assert!(p.warnings.iter().any(|w| matches!(w, Warning::NoSpectralGap { .. })));
    assert!(p.warnings.iter().any(|w| matches!(w, Warning::NotCrisp { .. })));
    assert!(p.crispness < 0.8);
}

#[test]
fn empty_crisp_sets_are_reported() {
    // Sets asked for without structure to carry them.
    let (t, pi) = row_of(8, 0.3);
    for m in 2..8 {
        let p = Pcca::new(m).fit(&t, &pi).unwrap();
        let missing: Vec<usize> = (0..m).filter(|j| !p.assignments.contains(j)).collect();
        assert_eq!(p.empty_sets, missing);
        let warned = p.warnings.iter().any(|w| matches!(w, Warning::FewerMacrostates { .. }));
        assert_eq!(warned, !missing.is_empty());
    }
}

#[test]
fn negative_eigenvalues_are_no_slow_process() {
    // Two states that alternate: eigenvalue -0.8.
    let t: Vec<i32> = (0..2000).map(|t| i32::from(t % 2 == 0) ^ i32::from(t % 20 == 0)).collect();
    let c = count_transitions(&[t], 2, 1, CountMode::Sliding).unwrap();
    let model = ReversibleMle::default().fit(&c).unwrap();
    assert!(model.spectrum().unwrap().eigenvalues[1] < 0.0);
    assert!(model.timescales(5).unwrap().is_empty());
    let p = Pcca::new(2).fit(&model.t, &model.pi).unwrap();
    assert!(p.warnings.iter().any(|w| matches!(w, Warning::NegativeEigenvalues { count: 1, .. })));
}

#[test]
fn one_macrostate_is_legal_and_flagged() {
    let x = signal(500, 2);
    let s = MsmBuilder { n_microstates: 20, n_macrostates: 1, ..MsmBuilder::new(2) };
    let msm = s.build(&[rows(&x, 2)]).unwrap();
    assert_eq!(msm.macro_t, Matrix::identity(1));
    assert!(msm.warnings.contains(&Warning::NoTransitionsBetweenStates { lag: 2 }));
    assert!(msm.pair_sampler(1).is_ok());
}

#[test]
fn no_data_at_all() {
    assert_eq!(Tica::new(1).fit::<f64>(&[]).unwrap_err(), MsmError::NoFrames);
    assert_eq!(KMeans::new(1, 1).fit::<f64>(&[]).unwrap_err(), MsmError::NoFrames);
    let none: [Vec<i32>; 0] = [];
    assert_eq!(count_transitions(&none, 1, 1, CountMode::Sliding).unwrap_err(), MsmError::NoFrames);
    let empty: &[f64] = &[];
    assert!(MsmBuilder::new(1).build(&[rows(empty, 3)]).is_err());
    assert_eq!(Rows::new(&[1.0, 2.0, 3.0], 2).unwrap_err(), MsmError::Shape { len: 3, width: 2 });
    let (a, b) = (signal(50, 2), signal(50, 3));
    assert_eq!(
        Tica::new(1).fit(&[rows(&a, 2), rows(&b, 3)]).unwrap_err(),
        MsmError::FeatureCount { trajectory: 1, expected: 2, got: 3 }
    );
}
