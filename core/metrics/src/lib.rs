//! The paper's numbers: JSDs, RMSF, Rg KL, macrostate MAE.
