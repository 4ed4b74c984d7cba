//! Real engines behind their plugins. What an engine lacks is said by `skip`.

mod faults;
mod gromacs;
mod loops;
mod openmm;
mod support;
