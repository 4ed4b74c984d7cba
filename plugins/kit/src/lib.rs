//! What engine plugins share that run OpenMM's Systems: the template folder, the options, how
//! seeds are prepared, the trajectory.

pub mod protocol;
pub mod settings;
pub mod template;
pub mod trajectory;
