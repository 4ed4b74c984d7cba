//! The contract with plugins: repr(C) tables, ids, versions, export macro.
