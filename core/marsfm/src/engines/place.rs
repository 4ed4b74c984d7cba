//! Seeds as the engine wants them: all atoms, in the engine's order. Heavy atoms are taken as they
//! are, bit for bit; hydrogens and caps too, where the seed names the same ones, else they ride on
//! the engine's own geometry (protonation and atom count never change).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use marsfm_geometry::residue::canonical_atom;
use marsfm_geometry::{ATOM14, Peptide, Topology};
use marsfm_host::Host;
use marsfm_sampling::judge_atoms;
use marsfm_trajectory::Frame;

/// A seed in the engine's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Positions of all atoms, nm.
    pub positions_nm: Vec<[f64; 3]>,
    /// True if its geometry asks for repair, or would not be accepted from a surrogate.
    pub needs_repair: bool,
}

/// Reads seeds: every frame (PDB models too) of `frames`, with the atoms of `topology`.
pub fn read_seeds(host: &Host, topology: &Path, frames: &Path) -> Result<(Topology, Vec<Frame>)> {
    let (atoms, _) = host.read_topology(topology)?;
    let mut source = host.open(frames, Some(atoms.len()))?;
    let (mut all, mut frame) = (Vec::new(), Frame::default());
    while source.read(&mut frame)? {
        all.push(frame.clone());
    }
    ensure!(!all.is_empty(), "{}: holds no frame", frames.display());
    Ok((atoms, all))
}

/// Which of a seed's atoms is which of the engine's.
pub(crate) struct Map<'a> {
    engine: &'a Peptide,
    reference_nm: &'a [[f64; 3]],
    seed: Peptide,
    /// (engine's atom, seed's atom).
    same: Vec<(usize, usize)>,
}

impl<'a> Map<'a> {
    /// Matches two topologies of one chain: by residue along the chain, by atom14 slot, and by
    /// hydrogens' names where a residue has the same ones on both sides.
    pub fn new(
        engine: (&'a Topology, &'a Peptide, &'a [[f64; 3]]),
        seed: &Topology,
        frame: &Frame,
    ) -> Result<Self> {
        let (engine_topology, engine, reference_nm) = engine;
        let found = match &frame.cell_nm {
            Some(cell) => Peptide::from_topology_in_cell(seed, &frame.positions_nm, cell),
            None => Peptide::from_topology(seed, &frame.positions_nm),
        }
        .context("the seed's atoms")?;
        if found.types() != engine.types() {
            let (ours, theirs) = (found.sequence(), engine.sequence());
            let pairs = found.types().iter().zip(engine.types());
            let at = pairs.take_while(|(a, b)| a == b).count();
            let label = |topology: &Topology, peptide: &Peptide| {
                let residue = peptide.residue_indices().get(at);
                residue.map_or("nothing".into(), |r| topology.residue_label(*r))
            };
            bail!(
                "the seed is {ours}, the engine's system {theirs}: they first differ where the \
                 seed has {} and the engine {}",
                label(seed, &found),
                label(engine_topology, engine)
            );
        }
        let mut same = Vec::new();
        let chain = |p: &Peptide| -> Vec<(usize, [Option<usize>; ATOM14])> {
            p.residue_indices().iter().copied().zip(p.atom14_indices().iter().copied()).collect()
        };
        for (i, ((there, to), (here, from))) in
            chain(engine).into_iter().zip(chain(&found)).enumerate()
        {
            let kind = engine.types()[i];
            let name = |topology: &Topology, atom: usize| {
                canonical_atom(kind, &topology.atoms[atom].name).to_owned()
            };
            let mut exchanged = false;
            for (to, from) in to.iter().zip(&from) {
                if let (Some(to), Some(from)) = (to, from) {
                    exchanged |= name(engine_topology, *to) != name(seed, *from);
                    same.push((*to, *from));
                }
            }
            // Hydrogens and OXT, by name.
            let others = |topology: &Topology, residue: usize, heavy: &[Option<usize>; ATOM14]| {
                let range = topology.residues[residue].atoms.clone();
                range
                    .filter(|a| !heavy.contains(&Some(*a)))
                    .map(|a| (name(topology, a), a))
                    .collect::<BTreeMap<String, usize>>()
            };
            let (theirs, ours) = (others(engine_topology, there, &to), others(seed, here, &from));
            if !exchanged && theirs.keys().eq(ours.keys()) {
                same.extend(theirs.values().copied().zip(ours.values().copied()));
            }
        }
        // Caps: as they are where both sides have the same atoms, else on the engine's own geometry.
        let (theirs, ours) = (caps(engine_topology, engine), caps(seed, &found));
        if theirs.len() == ours.len() {
            for ((here, to), (there, from)) in theirs.iter().zip(&ours) {
                if here == there && to.keys().eq(from.keys()) {
                    same.extend(to.values().copied().zip(from.values().copied()));
                }
            }
        }
        Ok(Self { engine, reference_nm, seed: found, same })
    }

    /// A frame of the seed's atoms.
    pub fn place(&self, frame: &Frame) -> Result<Placed> {
        let mut whole_nm = frame.positions_nm.clone();
        if let Some(cell) = &frame.cell_nm {
            self.seed.make_whole(&mut whole_nm, cell)?;
        }
        let heavy = self.seed.atom14_angstrom(&whole_nm)?;
        let verdict = judge_atoms(self.seed.types(), &heavy);
        let reference: Vec<[f32; 3]> =
            self.reference_nm.iter().map(|p| p.map(|x| x as f32)).collect();
        let carried = self.engine.place_heavy(&reference, &heavy)?;
        let mut positions_nm = self.reference_nm.to_vec();
        for atom in self.engine.molecule_indices() {
            positions_nm[atom] = carried[atom].map(f64::from);
        }
        for (to, from) in &self.same {
            positions_nm[*to] = whole_nm[*from].map(f64::from);
        }
        let needs_repair = !verdict.accepted() || !verdict.repair.is_empty();
        Ok(Placed { positions_nm, needs_repair })
    }
}

/// Residues of the chain's molecule that are none of its own, in file order: name, and atoms by name.
fn caps(topology: &Topology, peptide: &Peptide) -> Vec<(String, BTreeMap<String, usize>)> {
    let mut by_residue: BTreeMap<usize, BTreeMap<String, usize>> = BTreeMap::new();
    for atom in peptide.molecule_indices() {
        let residue = topology.atoms[atom].residue;
        if !peptide.residue_indices().contains(&residue) {
            by_residue.entry(residue).or_default().insert(topology.atoms[atom].name.clone(), atom);
        }
    }
    by_residue.into_iter().map(|(r, atoms)| (topology.residues[r].name.clone(), atoms)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_geometry::build;

    /// An ideal chain as topology, peptide and frame.
    fn chain(sequence: &str, psi: f64) -> (Topology, Peptide, Frame) {
        let made = build::chain(sequence, &vec![[-120.0, psi]; sequence.len()]).unwrap();
        let peptide = Peptide::from_topology(&made.topology, &made.positions_nm).unwrap();
        let frame = Frame { positions_nm: made.positions_nm, ..Frame::default() };
        (made.topology, peptide, frame)
    }

    /// The same atoms with one hydrogen on each N (but the first) behind the residue's others.
    fn with_hydrogens(top: &Topology, frame: &Frame) -> (Topology, Frame) {
        let (mut out, mut xyz) = (Topology::new(), Vec::new());
        for residue in &top.residues {
            let (name, number, chain) = (residue.name.as_str(), residue.number, &residue.chain);
            for a in residue.atoms.clone() {
                let atom = &top.atoms[a];
                out.push(&atom.name, &atom.element, name, number, "", chain);
                xyz.push(frame.positions_nm[a]);
            }
            let n = frame.positions_nm[residue.atoms.start];
            out.push("H", "H", name, number, "", chain);
            xyz.push([n[0] + 0.05, n[1] + 0.07, n[2] - 0.04]);
        }
        (out, Frame { positions_nm: xyz, ..Frame::default() })
    }

    fn double(frame: &Frame) -> Vec<[f64; 3]> {
        frame.positions_nm.iter().map(|p| p.map(f64::from)).collect()
    }

    #[test]
    fn heavy_atoms_pass_bit_for_bit_and_hydrogens_ride_or_pass() {
        let (top, _, extended) = chain("AGVI", 130.0);
        let (engine_top, engine_frame) = with_hydrogens(&top, &extended);
        let peptide = Peptide::from_topology(&engine_top, &engine_frame.positions_nm).unwrap();
        let reference = double(&engine_frame);
        let (_, _, seed) = chain("AGVI", 60.0);
        // A seed of heavy atoms.
        let map = Map::new((&engine_top, &peptide, &reference), &top, &seed).unwrap();
        let placed = map.place(&seed).unwrap();
        assert!(!placed.needs_repair);
        for (residue, heavy) in engine_top.residues.iter().zip(&top.residues) {
            for (to, from) in residue.atoms.clone().zip(heavy.atoms.clone()) {
                assert_eq!(placed.positions_nm[to], seed.positions_nm[from].map(f64::from));
            }
            let (n, h) = (residue.atoms.start, residue.atoms.end - 1);
            let length = |xyz: &[[f64; 3]]| {
                (0..3).map(|k| (xyz[h][k] - xyz[n][k]).powi(2)).sum::<f64>().sqrt()
            };
            assert!((length(&placed.positions_nm) - length(&reference)).abs() < 1e-4);
        }
        // A seed of all atoms.
        let (seed_top, all) = with_hydrogens(&top, &seed);
        let map = Map::new((&engine_top, &peptide, &reference), &seed_top, &all).unwrap();
        assert_eq!(map.place(&all).unwrap().positions_nm, double(&all));
    }

    /// The ends of a built chain as ACE and NME.
    fn capped(phi: f64) -> (Topology, Frame) {
        let made = build::chain("AAVAA", &[[phi, 130.0]; 5]).unwrap();
        let (top, frame) =
            (made.topology, Frame { positions_nm: made.positions_nm, ..Frame::default() });
        let (mut out, mut xyz) = (Topology::new(), Vec::new());
        for (atom, place) in top.atoms.iter().zip(&frame.positions_nm) {
            let residue = &top.residues[atom.residue];
            let (name, kind) = match (atom.residue, atom.name.as_str()) {
                (0, "CA") => ("CH3", "ACE"),
                (0, "C" | "O") => (atom.name.as_str(), "ACE"),
                (4, "N") => ("N", "NME"),
                (4, "CA") => ("C", "NME"),
                (0 | 4, _) => continue,
                _ => (atom.name.as_str(), residue.name.as_str()),
            };
            out.push(name, &atom.element, kind, residue.number, "", "A");
            xyz.push(*place);
        }
        (out, Frame { positions_nm: xyz, ..Frame::default() })
    }

    #[test]
    fn caps_come_with_the_seed_or_ride() {
        let ((top, own), (_, seed)) = (capped(-120.0), capped(-70.0));
        let peptide = Peptide::from_topology(&top, &own.positions_nm).unwrap();
        assert!(peptide.is_capped() && peptide.len() == 3);
        let reference = double(&own);
        let map = Map::new((&top, &peptide, &reference), &top, &seed).unwrap();
        assert_eq!(map.place(&seed).unwrap().positions_nm, double(&seed));
        // Without its caps: those of the engine ride on the residues that they are bonded to.
        let inner = |t: &Topology, f: &Frame| {
            let (mut out, mut frame) = (Topology::new(), Frame::default());
            for (atom, place) in t.atoms.iter().zip(&f.positions_nm) {
                let residue = &t.residues[atom.residue];
                if !matches!(residue.name.as_str(), "ACE" | "NME") {
                    out.push(&atom.name, &atom.element, &residue.name, residue.number, "", "A");
                    frame.positions_nm.push(*place);
                }
            }
            (out, frame)
        };
        let (bare_top, bare) = inner(&top, &seed);
        let map = Map::new((&top, &peptide, &reference), &bare_top, &bare).unwrap();
        let placed = map.place(&bare).unwrap().positions_nm;
        let bond = |xyz: &[[f64; 3]]| {
            let at = |residue: usize, name: &str| {
                let own =
                    |a: &usize| top.atoms[*a].residue == residue && top.atoms[*a].name == name;
                xyz[(0..xyz.len()).find(own).unwrap()]
            };
            let (c, n) = (at(0, "C"), at(1, "N"));
            (0..3).map(|k| (c[k] - n[k]).powi(2)).sum::<f64>().sqrt()
        };
        assert!((bond(&placed) - bond(&reference)).abs() < 1e-4);
        assert_ne!(placed, double(&seed));
    }

    #[test]
    fn another_sequence_is_refused_by_name() {
        let (engine_top, peptide, frame) = chain("AGVI", 130.0);
        let reference = double(&frame);
        let (top, _, seed) = chain("AGLI", 130.0);
        let error = Map::new((&engine_top, &peptide, &reference), &top, &seed);
        let error = error.err().unwrap().to_string();
        assert!(error.contains("seed has chain A residue 3 LEU"), "{error}");
        assert!(error.contains("engine chain A residue 3 VAL"), "{error}");
    }
}
