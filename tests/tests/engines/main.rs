//! Real engines behind their plugins. What an engine lacks is said by `skip`.

mod atoms;
mod disulphide;
mod faults;
mod gbsa;
mod gromacs;
mod loops;
mod openmm;
mod openmm_force;
mod support;
mod together;
