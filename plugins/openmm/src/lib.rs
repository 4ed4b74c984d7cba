//! MD with OpenMM 8.x, loaded at run time through its C API; nothing of OpenMM is needed to build.
//!
//! A template folder holds `system.xml` (a serialised System), `topology.pdb` (its atoms, in its
//! order) and optionally `settings.json` (the options that go with the system).
//! `tools/make_system.py` writes one for a peptide.
//!
//! Explicit solvent: energies and runs work, but a jump inside a box of water needs the water
//! placed anew; this version refuses to minimise such seeds and says so.

mod describe;
mod find;
mod guard;
mod openmm;
mod template;

marsfm_plugin_api::export_plugin! {
    name: c"openmm",
    version: marsfm_plugin_api::package_version!(),
    engine: openmm::OpenMm,
}
