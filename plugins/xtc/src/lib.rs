//! XTC trajectories with PDB and mmCIF topologies, pure Rust.
