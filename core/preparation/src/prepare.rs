//! From a sample in the engine's order to a runnable start, or to the reason why not.

use crate::engine::{Energy, Engine, EngineError, Minimised, Progress, Started};
use crate::gate::Gate;
use crate::judge::{Change, Judge, LARGEST_TORSION_DEGREES, LONGEST_DISULPHIDE_NM, VALID_RMS_NM};
use std::path::Path;

/// A sample to prepare.
#[derive(Clone, Copy, Debug)]
pub struct Seed<'a> {
    /// Positions of all atoms in the engine's order, nm; finite.
    pub positions_nm: &'a [[f64; 3]],
    /// Cell vectors as rows, nm.
    pub cell_nm: Option<[[f64; 3]; 3]>,
    /// True if the sample's own verdict asked for repair.
    pub needs_repair: bool,
    /// Velocities, solvent and the thermostat come from it.
    pub rng_seed: u64,
}

/// What may be done with a prepared seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Minimisation polished it; it runs.
    Valid,
    /// Minimisation mended it within the limits; it runs.
    Repaired,
    /// It is not, or no longer, the conformation that was asked for; it does not run.
    Rejected,
}

impl VerdictKind {
    /// `valid`, `repaired` or `rejected`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Repaired => "repaired",
            Self::Rejected => "rejected",
        }
    }
}

/// Why a seed is not valid. The first four are of a repaired seed, the others reject it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The sample's own verdict asked for repair.
    Sample,
    /// The heavy atoms moved further than a polish.
    Moved,
    /// With its heavy atoms held in place the sample was above the ensemble's energies.
    Strained,
    /// A residue changed its handedness.
    Chirality,
    /// A peptide bond changed between cis and trans.
    Omega,
    /// A backbone torsion moved too far.
    Torsion,
    /// The minimised energy is above the ensemble's gate, or not finite.
    Energy,
    /// The minimised structure still feels too large a force.
    Force,
    /// The engine lost the seed: not finite, or its process ended.
    Diverged,
    /// The sulphurs of a disulphide are too far apart to be bonded.
    Disulphide,
}

impl Reason {
    /// One word.
    pub fn code(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Moved => "moved",
            Self::Strained => "strained",
            Self::Chirality => "chirality",
            Self::Omega => "omega",
            Self::Torsion => "torsion",
            Self::Energy => "energy",
            Self::Force => "force",
            Self::Diverged => "diverged",
            Self::Disulphide => "disulphide",
        }
    }

    fn rejects(self) -> bool {
        !matches!(self, Self::Sample | Self::Moved | Self::Strained)
    }
}

/// The judgement on one seed.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Verdict {
    /// The judgement.
    pub kind: VerdictKind,
    /// Each reason with a sentence; empty for a valid seed.
    pub reasons: Vec<(Reason, String)>,
    /// What minimisation changed; `None` if it gave nothing to compare.
    pub change: Option<Change>,
    /// Energy as handed in, kJ/mol.
    pub before_kj_mol: Option<f64>,
    /// Energy with the heavy atoms restrained, kJ/mol.
    pub restrained_kj_mol: Option<f64>,
    /// Energy and largest force after the free minimisation.
    pub after: Option<Energy>,
}

impl Verdict {
    fn new(reasons: Vec<(Reason, String)>) -> Self {
        let kind = match reasons.iter().any(|(r, _)| r.rejects()) {
            true => VerdictKind::Rejected,
            false if reasons.is_empty() => VerdictKind::Valid,
            false => VerdictKind::Repaired,
        };
        let (change, before_kj_mol, restrained_kj_mol, after) = (None, None, None, None);
        Self { kind, reasons, change, before_kj_mol, restrained_kj_mol, after }
    }

    fn lost(error: &EngineError) -> Self {
        Self::new(vec![(Reason::Diverged, error.message.clone())])
    }

    /// Judges a minimised seed. Without a gate only the force and the change are judged.
    pub fn of(seed: &Seed<'_>, minimised: &Minimised, judge: &Judge, gate: Option<&Gate>) -> Self {
        let change = judge.compare(seed.positions_nm, &minimised.positions_nm);
        let mut reasons = Vec::new();
        let mut add = |reason: Reason, text: String| reasons.push((reason, text));
        if seed.needs_repair {
            add(Reason::Sample, "the sample itself asked for repair".into());
        }
        if change.rms_nm.is_nan() || change.rms_nm > VALID_RMS_NM {
            let text = "nm, the heavy atoms' root-mean-square move, is more than";
            add(Reason::Moved, format!("{:.3} {text} {VALID_RMS_NM}", change.rms_nm));
        }
        let (energy, restrained) = (minimised.after.potential_kj_mol, minimised.restrained_kj_mol);
        if let Some(gate) = gate.filter(|g| restrained > g.strained_kj_mol) {
            let limit = gate.strained_kj_mol;
            let text = "kJ/mol with the heavy atoms held is above";
            add(Reason::Strained, format!("{restrained:.0} {text} {limit:.0}"));
        }
        reasons.extend(torn(seed, judge));
        let mut add = |reason: Reason, text: String| reasons.push((reason, text));
        if !change.mirrored.is_empty() {
            add(Reason::Chirality, format!("mirrored: {}", change.mirrored.join(", ")));
        }
        if !change.omega_changed.is_empty() {
            let text = change.omega_changed.join(", ");
            add(Reason::Omega, format!("cis and trans exchanged: {text}"));
        }
        if change.max_torsion_degrees > LARGEST_TORSION_DEGREES {
            let (by, which) = (change.max_torsion_degrees, &change.max_torsion);
            let text = format!("{which} moved by {by:.0}°, more than {LARGEST_TORSION_DEGREES}°");
            add(Reason::Torsion, text);
        }
        match gate {
            _ if !energy.is_finite() => {
                add(Reason::Energy, format!("the minimised energy is {energy}"));
            }
            Some(gate) if energy > gate.highest_kj_mol => {
                let limit = gate.highest_kj_mol;
                let text = format!(
                    "{energy:.0} kJ/mol is above {limit:.0}, the limit of {} structures from \
                     before the jump",
                    gate.n
                );
                add(Reason::Energy, text);
            }
            _ => {}
        }
        let limit = gate.map_or(Gate::force_alone(), |g| g.max_force_kj_mol_nm);
        let force = minimised.after.max_force_kj_mol_nm;
        if force.is_nan() || force > limit {
            let atom = minimised.after.max_force_atom;
            let text = format!("atom {atom} feels {force:.0} kJ/mol/nm, more than {limit:.0}");
            add(Reason::Force, text);
        }
        Self {
            change: Some(change),
            before_kj_mol: Some(minimised.before_kj_mol),
            restrained_kj_mol: Some(restrained),
            after: Some(minimised.after),
            ..Self::new(reasons)
        }
    }
}

/// A judged seed.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The judgement.
    pub verdict: Verdict,
    /// The minimised positions, if there are any.
    pub minimised: Option<Minimised>,
    /// The start in the seed's folder; `None` for a rejected seed.
    pub started: Option<Started>,
}

/// A disulphide that the sample tore apart.
fn torn(seed: &Seed<'_>, judge: &Judge) -> Option<(Reason, String)> {
    let broken = judge.broken_disulphides(seed.positions_nm);
    let limit = LONGEST_DISULPHIDE_NM;
    let text =
        format!("sulphurs of a disulphide more than {limit} nm apart: {}", broken.join(", "));
    (!broken.is_empty()).then_some((Reason::Disulphide, text))
}

/// Minimises, judges, and, unless the seed is rejected, makes a runnable start in `folder`, which
/// must exist. A seed that the engine loses is rejected; other failures are errors.
pub fn prepare(
    engine: &dyn Engine,
    judge: &Judge,
    gate: Option<&Gate>,
    folder: &Path,
    seed: &Seed<'_>,
    progress: Progress<'_>,
) -> Result<Prepared, EngineError> {
    let rejected = |verdict| Prepared { verdict, minimised: None, started: None };
    // No engine is asked to mend that: one refuses such positions, another drags the chain along.
    if let Some(reason) = torn(seed, judge) {
        return Ok(rejected(Verdict::new(vec![reason])));
    }
    let Seed { positions_nm, cell_nm, rng_seed, .. } = *seed;
    let minimised = match engine.minimise(folder, rng_seed, positions_nm, cell_nm, progress) {
        Ok(minimised) => minimised,
        Err(e) if e.failure.costs_only_the_seed() => return Ok(rejected(Verdict::lost(&e))),
        Err(e) => return Err(e),
    };
    let verdict = Verdict::of(seed, &minimised, judge, gate);
    if verdict.kind == VerdictKind::Rejected {
        return Ok(Prepared { minimised: Some(minimised), ..rejected(verdict) });
    }
    match engine.start(folder, rng_seed, &minimised, progress) {
        Ok(started) => Ok(Prepared { verdict, minimised: Some(minimised), started: Some(started) }),
        Err(e) if e.failure.costs_only_the_seed() => {
            Ok(Prepared { minimised: Some(minimised), ..rejected(Verdict::lost(&e)) })
        }
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Failure, Finished, RunRequest, System};
    use marsfm_geometry::build;
    use std::cell::Cell;

    /// An engine that gives what it is told to, and counts its starts.
    struct Scripted {
        system: System,
        minimised: Result<Minimised, Failure>,
        starts: Cell<usize>,
    }

    fn fail<T>(failure: Failure) -> Result<T, EngineError> {
        Err(EngineError { engine: "scripted".into(), failure, message: "lost".into() })
    }

    impl Engine for Scripted {
        fn name(&self) -> &str {
            "scripted"
        }
        fn system(&self) -> &System {
            &self.system
        }
        fn energy(&self, _: &[[f64; 3]], _: Option<[[f64; 3]; 3]>) -> Result<Energy, EngineError> {
            fail(Failure::Unsupported)
        }
        fn minimise(
            &self,
            _: &Path,
            _: u64,
            _: &[[f64; 3]],
            _: Option<[[f64; 3]; 3]>,
            _: Progress<'_>,
        ) -> Result<Minimised, EngineError> {
            self.minimised.clone().or_else(fail)
        }
        fn start(
            &self,
            _: &Path,
            _: u64,
            _: &Minimised,
            _: Progress<'_>,
        ) -> Result<Started, EngineError> {
            self.starts.set(self.starts.get() + 1);
            Ok(Started { md_ps: 2.0, potential_kj_mol: 0.0, temperature_kelvin: 300.0 })
        }
        fn run(&self, _: &RunRequest<'_>, _: Progress<'_>) -> Result<Finished, EngineError> {
            fail(Failure::Unsupported)
        }
    }

    fn chain(psi: f64) -> System {
        let made = build::chain("AAAA", &[[-120.0, psi]; 4]).unwrap();
        System {
            topology: made.topology,
            positions_nm: made.positions_nm.iter().map(|p| p.map(f64::from)).collect(),
            cell_nm: None,
            bonds: Vec::new(),
            notes: Vec::new(),
            solvated: false,
            step_ps: 0.002,
            temperature_kelvin: 300.0,
            friction_per_ps: 1.0,
        }
    }

    fn result(psi: f64, energy: f64, force: f64) -> Minimised {
        Minimised {
            positions_nm: chain(psi).positions_nm,
            cell_nm: None,
            before_kj_mol: energy + 100.0,
            restrained_kj_mol: energy + 10.0,
            after: Energy {
                potential_kj_mol: energy,
                max_force_kj_mol_nm: force,
                max_force_atom: 3,
            },
        }
    }

    fn run(minimised: Result<Minimised, Failure>) -> (Result<Prepared, EngineError>, usize) {
        let engine = Scripted { system: chain(130.0), minimised, starts: Cell::new(0) };
        let system = &engine.system;
        let judge = Judge::new(&system.topology, &system.positions_nm).unwrap();
        let ensemble = [result(130.0, -500.0, 9.0), result(130.0, -510.0, 9.0)];
        let gate = Gate::from_ensemble(&ensemble, 4);
        let seed = Seed {
            positions_nm: &system.positions_nm,
            cell_nm: None,
            needs_repair: false,
            rng_seed: 1,
        };
        let go_on = &mut |_, _| true;
        let done = prepare(&engine, &judge, gate.as_ref(), Path::new("."), &seed, go_on);
        (done, engine.starts.get())
    }

    #[test]
    fn each_fault_has_its_verdict_and_rejected_seeds_cost_no_md() {
        let cases = [
            (result(131.0, -500.0, 9.0), VerdictKind::Valid, vec![]),
            (result(155.0, -500.0, 9.0), VerdictKind::Repaired, vec![Reason::Moved]),
            (
                result(165.0, -500.0, 9.0),
                VerdictKind::Rejected,
                vec![Reason::Moved, Reason::Torsion],
            ),
            (
                result(131.0, 6650.0, 9.0),
                VerdictKind::Rejected,
                vec![Reason::Strained, Reason::Energy],
            ),
            (result(131.0, -500.0, 5e4), VerdictKind::Rejected, vec![Reason::Force]),
        ];
        for (minimised, kind, reasons) in cases {
            let (done, starts) = run(Ok(minimised));
            let done = done.unwrap();
            let found: Vec<Reason> = done.verdict.reasons.iter().map(|r| r.0).collect();
            assert_eq!((done.verdict.kind, found), (kind, reasons), "{:?}", done.verdict);
            assert_eq!(starts, usize::from(kind != VerdictKind::Rejected));
            assert_eq!(done.started.is_some(), starts == 1);
        }
    }

    #[test]
    fn a_lost_seed_is_rejected_and_a_lost_engine_is_an_error() {
        let (done, starts) = run(Err(Failure::Diverged));
        let verdict = done.unwrap().verdict;
        assert_eq!((verdict.kind, starts), (VerdictKind::Rejected, 0));
        assert_eq!(verdict.reasons, [(Reason::Diverged, "lost".into())]);
        assert_eq!(run(Err(Failure::Timeout)).0.unwrap_err().failure, Failure::Timeout);
    }
}
