//! Batches: samples, their verdicts, their positions.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::path::Path;

use marsfm_core::session::{Batch as CoreBatch, Quality, Reason};

use crate::arguments::*;
use crate::library::host;
use crate::positions;
use crate::status::{Checked, Failure, guard};
use crate::types::*;

/// The samples of one request, opaque. Immutable: share it between threads.
pub struct Batch(pub(crate) CoreBatch);

/// nm per Å.
const NM: f64 = 0.1;

fn mask(reasons: &[Reason]) -> u32 {
    let bit = |reason: &Reason| match reason {
        Reason::NotFinite => MARSFM_REASON_NOT_FINITE,
        Reason::BrokenChain => MARSFM_REASON_BROKEN_CHAIN,
        Reason::Omega => MARSFM_REASON_OMEGA,
        Reason::Clash => MARSFM_REASON_CLASH,
        Reason::Chirality => MARSFM_REASON_CHIRALITY,
        Reason::RingPierced => MARSFM_REASON_RING_PIERCED,
    };
    reasons.iter().fold(0, |mask, reason| mask | bit(reason))
}

pub(crate) fn index(batch: &CoreBatch, i: usize) -> Checked<usize> {
    let n = batch.samples().len();
    if i < n {
        return Ok(i);
    }
    Err(Failure::argument(format!("there is no sample {i}; the batch has {n}")))
}

/// Frees a batch; NULL is fine. [any thread]
///
/// Example: marsfm_batch_free(batch);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_batch_free(batch: *mut Batch) {
    // SAFETY: as the C contract: made by this library, freed once.
    unsafe { free(batch) };
}

/// Number of samples of a batch, rejected ones included; 0 for NULL. [any thread]
///
/// Example: for (i = 0; i < marsfm_batch_size(batch); i++) { ... }
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_batch_size(batch: *const Batch) -> usize {
    // SAFETY: as the C contract: NULL or a batch.
    unsafe { batch.as_ref() }.map_or(0, |b| b.0.samples().len())
}

/// Summary of a batch.
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
///
/// Example: info.struct_size = sizeof info; marsfm_batch_info(batch, &info);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_batch_info(batch: *const Batch, info: *mut BatchInfo) -> Status {
    guard("marsfm_batch_info", || {
        // SAFETY: as the C contract.
        unsafe {
            let batch = &handle(batch, "batch")?.0;
            let value = BatchInfo {
                struct_size: 0,
                n_samples: batch.samples().len() as u64,
                n_accepted: batch.n_accepted() as u64,
                n_residues: batch.n_residues() as u64,
                n_atoms: batch.n_atoms() as u64,
                n_bystanders: batch.n_bystanders() as u64,
                n_differences: batch.differences().len() as u64,
            };
            write_record(info, &value, "info")
        }
    })
}

/// Origin and verdict of sample i.
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
///
/// Example: sample.struct_size = sizeof sample; marsfm_batch_sample(batch, i, &sample);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_batch_sample(
    batch: *const Batch,
    i: usize,
    sample: *mut SampleInfo,
) -> Status {
    guard("marsfm_batch_sample", || {
        // SAFETY: as the C contract.
        unsafe {
            let batch = &handle(batch, "batch")?.0;
            let node = &batch.samples()[index(batch, i)?];
            let status = match batch.quality(i) {
                Some(Quality::Accepted) => MARSFM_SAMPLE_ACCEPTED,
                Some(Quality::NeedsRepair) => MARSFM_SAMPLE_NEEDS_REPAIR,
                Some(Quality::Rejected) | None => MARSFM_SAMPLE_REJECTED,
            };
            let verdict = &node.verdict;
            let value = SampleInfo {
                struct_size: 0,
                parent: node.parent.map_or(-1, |p| p as i64),
                depth: node.depth as u64,
                id: node.id,
                status,
                rejected_reasons: mask(&verdict.rejected),
                repair_reasons: mask(&verdict.repair),
                tight_contacts: verdict.tight_contacts,
                worst_peptide_bond_nm: f64::from(verdict.worst_peptide_bond_angstrom) * NM,
                closest_contact_nm: f64::from(verdict.closest_contact_angstrom) * NM,
                n_bystanders: batch.n_bystanders() as u64,
                idealised_nm: f64::from(verdict.idealised_angstrom) * NM,
            };
            write_record(sample, &value, "sample")
        }
    })
}

/// Copies the positions of sample i, nm, in the order of the topology: heavy atoms of the chain
/// rebuilt, hydrogens, OXT and caps carried along, all other atoms exactly as they were handed in.
///
/// - xyz: the room for them; float or double and stride as the caller likes.
///
/// Returns MARSFM_OK, MARSFM_ERROR_COUNT, or MARSFM_ERROR_ARGUMENT, also for a sample rejected as
/// not finite, which has no positions. [any thread]
///
/// Example: marsfm_batch_positions(batch, i, &out);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_batch_positions(
    batch: *const Batch,
    i: usize,
    xyz: *const XyzOut,
) -> Status {
    guard("marsfm_batch_positions", || {
        // SAFETY: as the C contract.
        unsafe {
            let batch = &handle(batch, "batch")?.0;
            let place = positions::place(xyz, batch.n_atoms())?;
            let positions_nm = batch.positions_nm(index(batch, i)?)?;
            positions::write(place, &positions_nm);
        }
        Ok(())
    })
}

/// Writes samples to a file, one frame each: seeds with the caller's own atom and residue names in
/// the caller's order, and the cell of the start. The file appears when it is complete.
///
/// - samples: n_samples numbers of samples, none of them rejected; NULL (and 0) for all that are
///   not rejected.
/// - path: the file, UTF-8; its extension says the format: PDB and XTC, and with the chemfiles
///   plugin GRO, TRR and others.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, or MARSFM_ERROR_FILE (cannot be written, or no plugin
/// writes such files). [any thread]
///
/// Example: marsfm_batch_write(batch, NULL, 0, "seeds.gro");
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_batch_write(
    batch: *const Batch,
    samples: *const usize,
    n_samples: usize,
    path: *const c_char,
) -> Status {
    guard("marsfm_batch_write", || {
        if samples.is_null() && n_samples > 0 {
            return Err(Failure::argument("samples is NULL, n_samples is not 0"));
        }
        // SAFETY: as the C contract: n_samples numbers.
        let (batch, path, chosen) = unsafe {
            let batch = &handle(batch, "batch")?.0;
            let one = |i: usize| index(batch, samples.add(i).read_unaligned());
            let chosen = (0..n_samples).map(one).collect::<Checked<Vec<_>>>()?;
            (batch, text(path, "path")?, chosen)
        };
        let usable = |i: &usize| batch.quality(*i) != Some(Quality::Rejected);
        let all = || (0..batch.samples().len()).filter(usable).collect();
        let chosen = if samples.is_null() { all() } else { chosen };
        Ok(batch.write(&host(), Path::new(path), &chosen)?)
    })
}

/// Copies what is known of how the request differs from the data that the model was trained on
/// (temperature, force field, solvent, termini, chain length, residue types), one line for each
/// difference; empty if there is none. For buffer, capacity and needed see
/// marsfm_last_error_message.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
///
/// Example: marsfm_batch_domain_message(batch, text, sizeof text, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_batch_domain_message(
    batch: *const Batch,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_batch_domain_message", || {
        // SAFETY: as the C contract.
        unsafe {
            let differences = handle(batch, "batch")?.0.differences();
            let lines: Vec<&str> = differences.iter().map(|d| d.message.as_str()).collect();
            write_text(&lines.join("\n"), buffer, capacity, needed)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_core::session::REASONS;

    #[test]
    fn every_reason_has_a_bit_of_its_own() {
        assert_eq!(mask(&REASONS), 63);
        assert_eq!(mask(&[]), 0);
    }
}
