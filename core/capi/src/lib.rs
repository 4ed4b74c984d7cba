//! libmarsfm: the C ABI.
