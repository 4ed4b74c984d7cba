//! Seeds: samples that an engine has prepared, judged.
#![allow(unsafe_code)]

use marsfm_core::preparation::{Energy, Minimised as CoreMinimised, Reason, Verdict, VerdictKind};

use crate::arguments::*;
use crate::batch::{Batch, index};
use crate::log::tell;
use crate::positions;
use crate::status::{Checked, Failure, guard};
use crate::types::*;

fn mask(verdict: &Verdict) -> u32 {
    let bit = |reason: &Reason| match reason {
        Reason::Sample => MARSFM_SEED_SAMPLE,
        Reason::Moved => MARSFM_SEED_MOVED,
        Reason::Strained => MARSFM_SEED_STRAINED,
        Reason::Chirality => MARSFM_SEED_CHIRALITY,
        Reason::Omega => MARSFM_SEED_OMEGA,
        Reason::Torsion => MARSFM_SEED_TORSION,
        // Diverged: not finite; it is never the answer to finite positions. A broken disulphide is
        // its stretched bond's energy.
        Reason::Energy | Reason::Diverged | Reason::Disulphide => MARSFM_SEED_ENERGY,
        Reason::Force => MARSFM_SEED_FORCE,
    };
    verdict.reasons.iter().fold(0, |mask, (reason, _)| mask | bit(reason))
}

fn minimised(energies: &Minimised, positions_nm: Vec<[f64; 3]>) -> CoreMinimised {
    CoreMinimised {
        positions_nm,
        cell_nm: None,
        before_kj_mol: energies.before_kj_mol,
        restrained_kj_mol: energies.restrained_kj_mol,
        after: Energy {
            potential_kj_mol: energies.after_kj_mol,
            max_force_kj_mol_nm: energies.max_force_kj_mol_nm,
            max_force_atom: 0,
        },
    }
}

/// Judges sample i after the caller's engine has minimised it, first with the heavy atoms
/// restrained, then freely: whether it is still the conformation that was drawn, and whether its
/// energy is like that of MD. Reasons in words go to the log (MARSFM_LOG_INFO).
///
/// - xyz: positions after minimisation, nm, whole, in the order of the topology.
/// - energies: of this sample.
/// - ensemble: n_ensemble structures from before the jump, minimised in the same way; NULL (and 0)
///   judges forces but not energies. A single one, the start, is better than none.
/// - seed: takes the verdict.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT or MARSFM_ERROR_NOT_FINITE.
/// [any thread]
///
/// Example: marsfm_batch_judge(batch, i, &xyz, &energies, &start, 1, &seed);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_batch_judge(
    batch: *const Batch,
    i: usize,
    xyz: *const XyzIn,
    energies: *const Minimised,
    ensemble: *const Minimised,
    n_ensemble: usize,
    seed: *mut SeedInfo,
) -> Status {
    guard("marsfm_batch_judge", || {
        if ensemble.is_null() && n_ensemble > 0 {
            return Err(Failure::argument("ensemble is NULL, n_ensemble is not 0"));
        }
        // SAFETY: as the C contract.
        let (batch, energies) =
            unsafe { (&handle(batch, "batch")?.0, read_record(energies, "energies")?) };
        let i = index(batch, i)?;
        let one = |k: usize| -> Checked<CoreMinimised> {
            // SAFETY: as the C contract: n_ensemble structs of the size that the first one tells.
            let read = unsafe {
                let stride = ensemble.cast::<usize>().read_unaligned();
                let at = ensemble.byte_add(k * stride);
                read_record(at, &format!("ensemble[{k}]"))?
            };
            Ok(minimised(&read, Vec::new()))
        };
        if n_ensemble > 0 {
            // SAFETY: as the C contract; refuses a size that could not be stepped over.
            unsafe { read_record(ensemble, "ensemble")? };
        }
        let ensemble = (0..n_ensemble).map(one).collect::<Checked<Vec<_>>>()?;
        // SAFETY: as the C contract.
        let positions_nm = unsafe { positions::read(xyz, batch.n_atoms())? };
        let verdict = batch.judge(i, minimised(&energies, positions_nm), &ensemble)?;
        for (_, words) in &verdict.reasons {
            tell(MARSFM_LOG_INFO, &format!("sample {i}, prepared: {words}"));
        }
        let change = verdict.change.as_ref();
        let value = SeedInfo {
            struct_size: 0,
            status: match verdict.kind {
                VerdictKind::Valid => MARSFM_SEED_VALID,
                VerdictKind::Repaired => MARSFM_SEED_REPAIRED,
                VerdictKind::Rejected => MARSFM_SEED_REJECTED,
            },
            reasons: mask(&verdict),
            rms_nm: change.map_or(f64::NAN, |c| c.rms_nm),
            max_torsion_degrees: change.map_or(f64::NAN, |c| c.max_torsion_degrees),
        };
        // SAFETY: as the C contract.
        unsafe { write_record(seed, &value, "seed") }
    })
}
