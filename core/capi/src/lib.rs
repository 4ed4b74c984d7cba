//! libmarsfm: the C ABI of marsfm. Pointer checks, ownership and status codes; no science.
//!
//! `include/marsfm.h` is made from these files (`tests/header.rs`), so the comments of everything
//! exported are written for C. `types` holds what crosses, `status` the codes, the message and the
//! guard that every function runs in, `arguments` the checks; the other files are one handle each
//! and mirror `marsfm::session`.

#[cfg(panic = "abort")]
compile_error!("libmarsfm must be built with panic = \"unwind\": its panics become statuses");

mod arguments;
mod batch;
mod job;
mod library;
mod log;
mod loops;
mod model;
mod msm;
mod msm_numbers;
mod msm_rows;
mod positions;
mod seed;
mod session;
mod status;
mod topology;
mod trajectory;
mod types;
