//! What can go wrong, and what is worth telling though nothing went wrong.
//!
//! Errors name the trajectory, frame, state or set, what was expected and what to do. Warnings are
//! data: they travel inside models and reports and are never printed here.

use serde::{Deserialize, Serialize};

/// Failure of an estimator.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum MsmError {
    /// A lag of 0 frames.
    #[error("{what} must be at least 1 frame, got {lag}")]
    InvalidLag {
        /// Which lag.
        what: &'static str,
        /// Its value in frames.
        lag: usize,
    },
    /// No trajectory is longer than the lag.
    #[error(
        "lag of {lag} frames needs a trajectory of at least {} frames; the longest of {n_trajectories} has {longest}: use a shorter lag or longer trajectories",
        lag + 1
    )]
    TooShort {
        /// Lag in frames.
        lag: usize,
        /// Frames of the longest trajectory.
        longest: usize,
        /// Number of trajectories given.
        n_trajectories: usize,
    },
    /// A feature is NaN or infinite.
    #[error(
        "trajectory {trajectory}, frame {frame}, feature {feature} is {value}: remove the frame or repair the feature"
    )]
    NotFinite {
        /// Trajectory, from 0.
        trajectory: usize,
        /// Frame in that trajectory, from 0.
        frame: usize,
        /// Feature column, from 0.
        feature: usize,
        /// `NaN`, `inf` or `-inf`.
        value: String,
    },
    /// Trajectories with different numbers of features, or other features than the model's.
    #[error("trajectory {trajectory} has {got} features per frame, expected {expected}")]
    FeatureCount {
        /// Trajectory, from 0.
        trajectory: usize,
        /// Features of the first trajectory or of the model.
        expected: usize,
        /// Features found.
        got: usize,
    },
    /// A flat array whose length is no multiple of the row width.
    #[error("an array of {len} numbers is not made of rows of {width}")]
    Shape {
        /// Numbers given.
        len: usize,
        /// Numbers per row.
        width: usize,
    },
    /// There is nothing to work on.
    #[error("no frames: every trajectory is empty")]
    NoFrames,
    /// All features are constant.
    #[error(
        "all {n_features} features are constant over the trajectories: there is no motion to model"
    )]
    NoVariance {
        /// Number of features.
        n_features: usize,
    },
    /// A parameter outside its range.
    #[error("{what} is {got}, must be {expected}")]
    Parameter {
        /// Name of the parameter.
        what: &'static str,
        /// Value given.
        got: String,
        /// Legal values.
        expected: String,
    },
    /// A discrete trajectory holds a state that does not exist (-1 is legal and means "none").
    #[error(
        "trajectory {trajectory}, frame {frame}: state {state}, expected -1 (none) or 0..{n_states}"
    )]
    StateOutOfRange {
        /// Trajectory, from 0.
        trajectory: usize,
        /// Frame in that trajectory, from 0.
        frame: usize,
        /// State found.
        state: i64,
        /// Number of states.
        n_states: usize,
    },
    /// More states than a dense matrix is made for.
    #[error("{n_states} states need a dense matrix of {} MiB; at most {max} states are supported", (n_states * n_states * 8) >> 20)]
    TooManyStates {
        /// States asked for.
        n_states: usize,
        /// Limit.
        max: usize,
    },
    /// No transition was counted.
    #[error(
        "no transition was counted at lag {lag}: the trajectories are too short or masked throughout, \
         or so many states were asked for that none is seen twice (ask for fewer)"
    )]
    NoTransitions {
        /// Lag in frames.
        lag: usize,
    },
    /// States that do not reach each other.
    #[error("the counts split into {n_components} components: estimate on one connected set")]
    NotConnected {
        /// Number of strongly connected sets.
        n_components: usize,
    },
    /// A negative, non-finite or non-integral-type count, or a row that is no distribution.
    #[error("row {row} of the transition matrix is not a probability distribution (sum {sum})")]
    NotStochastic {
        /// Row, from 0.
        row: usize,
        /// Sum found.
        sum: f64,
    },
    /// A matrix that violates detailed balance.
    #[error(
        "the transition matrix is not reversible (detailed balance violated by {violation:.3e}): estimate it with the reversible estimator first"
    )]
    NotReversible {
        /// Largest |pi_i T_ij - pi_j T_ji| relative to the largest flux.
        violation: f64,
    },
    /// A number of sets that cannot be had.
    #[error(
        "{asked} metastable sets asked; {n_states} states in {n_components} closed components allow {n_components} to {n_states}"
    )]
    SetsOutOfRange {
        /// Sets asked for.
        asked: usize,
        /// States of the transition matrix.
        n_states: usize,
        /// Its closed components.
        n_components: usize,
    },
    /// Matrices or vectors that do not fit together.
    #[error("{what}: expected {expected}, got {got}")]
    Size {
        /// What is of the wrong size.
        what: &'static str,
        /// Expected length.
        expected: usize,
        /// Length found.
        got: usize,
    },
    /// Two sets that must be disjoint and not empty.
    #[error("source and target sets: {0}")]
    BadSets(String),
    /// A numerical method failed.
    #[error("{what} did not succeed: {detail}")]
    Numerical {
        /// Which method.
        what: &'static str,
        /// What happened.
        detail: String,
    },
    /// Reading or writing failed.
    #[error("{path}: {detail}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        detail: String,
    },
}

/// Something the user should know about a result that is legal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
pub enum Warning {
    /// Trajectories not longer than the lag were left out.
    SkippedTrajectories {
        /// Which lag.
        what: String,
        /// Lag in frames.
        lag: usize,
        /// Their indices.
        trajectories: Vec<usize>,
    },
    /// Features that are constant or linear combinations of others.
    RankDeficient {
        /// Rank kept.
        rank: usize,
        /// Features given.
        n_features: usize,
        /// Columns that never change.
        constant_columns: Vec<usize>,
        /// Columns that can be written as combinations of the columns before them.
        dependent_columns: Vec<usize>,
    },
    /// Too few frames for the number of features; the eigenvalues are fitted noise.
    FewFrames {
        /// Time-lagged pairs.
        n_pairs: usize,
        /// Features.
        n_features: usize,
    },
    /// TICA could not weight pairs towards equilibrium, as it was asked to, and took them as they are:
    /// runs that start out of equilibrium shape its coordinates.
    NotReweighted {
        /// What stood in the way.
        reason: String,
    },
    /// Fewer centres than asked for: the data has not that many distinct points or frames.
    FewerClusters {
        /// Asked.
        asked: usize,
        /// Given.
        got: usize,
    },
    /// So few frames to a microstate that its transitions are noise.
    FewFramesPerState {
        /// Frames.
        n_frames: usize,
        /// Microstates.
        n_states: usize,
    },
    /// k-means stopped at its iteration limit.
    NotConverged {
        /// Iterations done.
        iterations: usize,
        /// Last relative change of the inertia.
        change: f64,
    },
    /// Clusters that lost all their points on the way.
    EmptyClusters {
        /// How many times one was reseeded at the farthest point.
        reseeded: usize,
        /// Clusters empty at the end.
        empty: Vec<usize>,
    },
    /// States outside the active set.
    StatesOutsideActiveSet {
        /// Full state numbers.
        states: Vec<usize>,
        /// Number of strongly connected sets among visited states.
        n_connected_sets: usize,
        /// Fraction of frames inside the active set.
        frame_fraction_active: f64,
    },
    /// The stationary distribution of several closed components is split by their counts.
    SeveralComponents {
        /// Number of components.
        n_components: usize,
    },
    /// Fewer macrostates than asked.
    FewerMacrostates {
        /// Asked.
        asked: usize,
        /// Non-empty sets found.
        got: usize,
    },
    /// No gap in the spectrum after the chosen number of sets: the sets are bins.
    NoSpectralGap {
        /// Eigenvalue m (the last slow process kept).
        last: f64,
        /// Eigenvalue m+1.
        next: f64,
    },
    /// Memberships are soft.
    NotCrisp {
        /// Mean over states (weighted by pi) of the largest membership.
        crispness: f64,
    },
    /// A macrostate that only one trajectory visited.
    OneTrajectoryOnly {
        /// Macrostate.
        macrostate: usize,
        /// The trajectory.
        trajectory: usize,
        /// Frames in it.
        frames: usize,
    },
    /// States hardly survive one lag.
    NotMetastable {
        /// Mean of T_ii at the pair lag over the non-empty macrostates.
        mean_self_transition: f64,
    },
    /// Every counted transition stays in one state.
    NoTransitionsBetweenStates {
        /// Lag in frames.
        lag: usize,
    },
    /// Eigenvalues that are no relaxation.
    NegativeEigenvalues {
        /// How many.
        count: usize,
        /// The most negative.
        smallest: f64,
    },
}
