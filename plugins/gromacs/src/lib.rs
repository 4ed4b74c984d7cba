//! MD with stock GROMACS (2022 or newer): nothing is linked, its programs are run as child
//! processes on files.
//!
//! A template folder holds `conf.gro`, `topol.top` (with its `.itp` files) and `md.mdp`, as any
//! GROMACS user has them, and optionally `settings.json` (the options that go with the system).
//! `tools/make_template.sh` writes one for a peptide, in vacuum or in water. The topology must
//! switch restraints on the solute's heavy atoms on with `-DPOSRES`, as `gmx pdb2gmx` writes it.
//!
//! Every call works in a folder of its own, which is removed afterwards (with the `step*.pdb` of a
//! simulation that blew up). `-maxwarn` is never passed: what grompp warns of reaches the user.
//! Positions go in as TRR frames (`grompp -t -time`), single precision, in the topology's order.

mod child;
mod describe;
mod find;
mod gro;
mod gromacs;
mod mdp;
mod mpi;
mod said;
mod settings;
mod solvent;
mod steps;
mod template;
mod together;
mod tpr;
mod trr;
mod xtc;

marsfm_plugin_api::export_plugin! {
    name: c"gromacs",
    version: marsfm_plugin_api::package_version!(),
    engine: gromacs::Gromacs,
}
