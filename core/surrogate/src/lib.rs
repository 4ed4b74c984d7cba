//! The flow-matching network over residues in SE(3).
