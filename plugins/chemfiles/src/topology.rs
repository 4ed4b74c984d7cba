//! Atoms and residues out of a chemfiles frame. Of alternate locations, which chemfiles keeps
//! side by side, the first label of each residue stays (chemfiles does not tell occupancies).

use crate::plugin::{failed, known};
use crate::reader::{cell_nm, nm};
use crate::warnings;
use chemfiles::{Frame, Property, ResidueRef, Trajectory};
use marsfm_plugin_api::{AtomRecord, PluginError, TopologyFile, element};
use std::path::Path;

/// Reads the first frame of a file that names its atoms.
pub fn read(path: &Path) -> Result<TopologyFile, PluginError> {
    warnings::keep();
    let known = known(path)?;
    let mut trajectory = Trajectory::open_with_format(path, 'r', known.name)
        .map_err(|e| failed("cannot be opened", &e))?;
    let mut frame = Frame::new();
    trajectory.read(&mut frame).map_err(|e| failed("its atoms cannot be read", &e))?;
    let atoms = records(&frame);
    let (keep, mut notes) = first_locations(&frame, &atoms);
    notes.extend(warnings::take());
    let positions = frame.positions();
    Ok(TopologyFile {
        positions_nm: Some(keep.iter().map(|&i| nm(positions[i])).collect()),
        atoms: keep.iter().map(|&i| atoms[i].clone()).collect(),
        cell_nm: cell_nm(&frame),
        notes,
    })
}

fn text(property: Option<Property>) -> String {
    match property {
        Some(Property::String(text)) => text.trim().to_owned(),
        _ => String::new(),
    }
}

fn records(frame: &Frame) -> Vec<AtomRecord> {
    let topology = frame.topology();
    let mut records = vec![AtomRecord::default(); frame.size()];
    for r in 0..topology.residues_count() as usize {
        if let Some(residue) = topology.residue(r) {
            let of = of_residue(&residue);
            for atom in residue.atoms() {
                if let Some(place) = records.get_mut(atom) {
                    *place = of.clone();
                }
            }
        }
    }
    for (i, record) in records.iter_mut().enumerate() {
        let atom = frame.atom(i);
        record.name = atom.name();
        // A type that is no element (a force field's, or the name itself) is guessed anew; a
        // type that equals the name is the name, as in GRO, where CA is a carbon.
        let kind = atom.atomic_type();
        let trusted = atom.atomic_number() > 0 && (kind != record.name || kind.len() == 1);
        let column = if trusted { kind.as_str() } else { "" };
        record.element = element(column, &record.name, &record.residue_name, true);
    }
    records
}

fn of_residue(residue: &ResidueRef<'_>) -> AtomRecord {
    let chain = text(residue.get("chainname"));
    AtomRecord {
        residue_name: residue.name(),
        residue_number: residue.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0),
        insertion: text(residue.get("insertion_code")),
        chain: if chain.is_empty() { text(residue.get("chainid")) } else { chain },
        ..AtomRecord::default()
    }
}

/// Indices of the atoms to keep, and notes about what is left out.
pub fn first_locations(frame: &Frame, atoms: &[AtomRecord]) -> (Vec<usize>, Vec<String>) {
    let labels: Vec<String> =
        (0..frame.size()).map(|i| text(frame.atom(i).get("altloc"))).collect();
    choose(&labels, atoms)
}

fn choose(labels: &[String], atoms: &[AtomRecord]) -> (Vec<usize>, Vec<String>) {
    let same_residue = |a: &AtomRecord, b: &AtomRecord| {
        (&a.chain, a.residue_number, &a.insertion, &a.residue_name)
            == (&b.chain, b.residue_number, &b.insertion, &b.residue_name)
    };
    let (mut keep, mut notes) = (Vec::with_capacity(atoms.len()), Vec::new());
    let mut start = 0;
    while start < atoms.len() {
        let end =
            start + atoms[start..].iter().take_while(|a| same_residue(a, &atoms[start])).count();
        let first = labels[start..end].iter().find(|l| !l.is_empty());
        let before = keep.len();
        for i in start..end {
            // An atom that the first label lacks is taken where it comes first.
            let rival = |j: usize| {
                j != i
                    && !labels[j].is_empty()
                    && atoms[j].name == atoms[i].name
                    && (Some(&labels[j]) == first || j < i)
            };
            let chosen = labels[i].is_empty() || Some(&labels[i]) == first;
            if chosen || !(start..end).any(rival) {
                keep.push(i);
            }
        }
        let left_out = end - start - (keep.len() - before);
        if left_out > 0 {
            let a = &atoms[start];
            notes.push(format!(
                "residue {}{} {}: alternate location {} kept, {left_out} atoms of others left out",
                a.residue_number,
                a.insertion,
                a.residue_name,
                first.map_or("", String::as_str)
            ));
        }
        start = end;
    }
    (keep, notes)
}

/// The atoms that frames of this file keep, or `None` for all.
pub fn kept(frame: &Frame) -> Option<Vec<usize>> {
    let (keep, _) = first_locations(frame, &records(frame));
    (keep.len() < frame.size()).then_some(keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_label_stays_and_no_atom_is_lost() {
        let atom = |name: &str| AtomRecord { name: name.into(), ..AtomRecord::default() };
        let atoms = ["N", "CA", "CA", "OG", "CB"].map(atom);
        let labels = ["", "B", "A", "A", ""].map(String::from);
        let (keep, notes) = choose(&labels, &atoms);
        assert_eq!(keep, [0, 1, 3, 4]);
        assert!(notes[0].contains("location B kept, 1 atoms"), "{notes:?}");
    }
}
