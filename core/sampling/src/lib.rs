//! Jump, tree and hybrid sampling; acceptance checks; seeds.
