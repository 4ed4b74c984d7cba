//! What engine plugins share that run OpenMM's Systems: the template folder, the options, the
//! trajectory.

pub mod settings;
pub mod template;
pub mod trajectory;
