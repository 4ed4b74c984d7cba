//! The `marsfm` program as a user runs it: bad input, interrupted training, the default
//! surrogate, trajectories of an MDGen surrogate.

mod errors;
<<<<<<< HEAD
mod msm;
=======
mod evaluate;
>>>>>>> f8cb048 (feat(evaluate): marsfm evaluate scores any ensemble against reference MD; checked against MDTraj and SciPy)
mod resume;
mod rollout;
mod spread;
mod support;
mod surrogate;
