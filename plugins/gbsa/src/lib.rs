//! MD of peptides in implicit solvent on the CPU, sixteen runs at a time.
//!
//! A template folder is that of the openmm plugin (`system.xml`, `topology.pdb`, optionally
//! `settings.json`), with a System of the forces that OpenMM's ForceField makes for a peptide with
//! its built-in GBSA: forces, energies and integrator are OpenMM's, in single precision. What it is
//! for is throughput: runs that `run_together` is given share the lanes of the vector registers,
//! and cost together what one costs alone.

mod engine;
pub mod md;
mod minimise;

marsfm_plugin_api::export_plugin! {
    name: c"gbsa",
    version: marsfm_plugin_api::package_version!(),
    engine: engine::Gbsa,
}
