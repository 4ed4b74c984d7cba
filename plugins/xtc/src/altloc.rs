//! Alternate locations, on purpose: each residue keeps one conformer, the label with the larger
//! mean occupancy (the earlier label on a tie), because a mixture of two conformers is no
//! molecule. Atoms without a label are always kept; an atom that the chosen conformer lacks is
//! taken from its best-occupied label. What was left out is reported.

use marsfm_plugin_api::AtomRecord;

/// An atom as read, before one conformer is chosen. Positions in Å.
#[derive(Clone, Debug)]
pub struct RawAtom {
    pub record: AtomRecord,
    pub altloc: String,
    pub occupancy: f32,
    pub xyz_angstrom: [f64; 3],
}

impl RawAtom {
    /// The position in nm.
    pub fn xyz_nm(&self) -> [f32; 3] {
        self.xyz_angstrom.map(|x| (x / 10.0) as f32)
    }
}

/// Indices of the atoms to keep, in order, and a note per residue that has alternatives.
pub fn choose(atoms: &[RawAtom]) -> (Vec<usize>, Vec<String>) {
    let (mut keep, mut notes) = (Vec::with_capacity(atoms.len()), Vec::new());
    let mut start = 0;
    while start < atoms.len() {
        let same = |a: &RawAtom| {
            let (p, q) = (&a.record, &atoms[start].record);
            p.chain == q.chain
                && p.residue_number == q.residue_number
                && p.insertion == q.insertion
                // Another name without a label is another residue (waters without chains).
                && (p.residue_name == q.residue_name || !a.altloc.is_empty())
        };
        let n = atoms[start..].iter().take_while(|a| same(a)).count();
        residue(&atoms[start..start + n], start, &mut keep, &mut notes);
        start += n;
    }
    (keep, notes)
}

fn residue(atoms: &[RawAtom], start: usize, keep: &mut Vec<usize>, notes: &mut Vec<String>) {
    // Label, sum of occupancies, atoms.
    let mut labels: Vec<(&str, f32, f32)> = Vec::new();
    for a in atoms.iter().filter(|a| !a.altloc.is_empty()) {
        match labels.iter_mut().find(|(l, ..)| *l == a.altloc) {
            Some((_, sum, n)) => {
                *sum += a.occupancy;
                *n += 1.0;
            }
            None => labels.push((&a.altloc, a.occupancy, 1.0)),
        }
    }
    if labels.is_empty() {
        keep.extend(start..start + atoms.len());
        return;
    }
    labels.sort_by(|p, q| (q.1 / q.2).total_cmp(&(p.1 / p.2)).then(p.0.cmp(q.0)));
    let rank = |a: &RawAtom| labels.iter().position(|(l, ..)| *l == a.altloc).unwrap_or(0);
    let chosen = labels[0].0;
    // The residue name of the chosen conformer: its rivals may be another residue altogether.
    let name = atoms.iter().find(|a| a.altloc == chosen).map(|a| &a.record.residue_name);
    let mut left_out = 0;
    for (i, a) in atoms.iter().enumerate() {
        let best = a.altloc.is_empty()
            || Some(&a.record.residue_name) == name
                && !atoms.iter().enumerate().any(|(j, b)| {
                    !b.altloc.is_empty()
                        && b.record.name == a.record.name
                        && Some(&b.record.residue_name) == name
                        && (rank(b), j) < (rank(a), i)
                });
        if best {
            keep.push(start + i);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let r = &atoms[0].record;
        let chain = if r.chain.is_empty() { String::new() } else { format!("chain {} ", r.chain) };
        notes.push(format!(
            "{chain}residue {}{} {}: alternate location {chosen} kept, {left_out} atoms of others \
             left out",
            r.residue_number,
            r.insertion,
            name.unwrap_or(&r.residue_name)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(name: &str, residue: &str, number: i32, altloc: &str, occupancy: f32) -> RawAtom {
        let record = AtomRecord {
            name: name.into(),
            residue_name: residue.into(),
            residue_number: number,
            ..AtomRecord::default()
        };
        RawAtom { record, altloc: altloc.into(), occupancy, xyz_angstrom: [0.0; 3] }
    }

    #[test]
    fn one_conformer_per_residue_and_none_is_lost() {
        let atoms = [
            atom("N", "SER", 1, "", 1.0),
            atom("CA", "SER", 1, "A", 0.4),
            atom("CA", "SER", 1, "B", 0.6),
            atom("CB", "SER", 1, "A", 0.4),
            atom("CB", "SER", 1, "B", 0.6),
            atom("OG", "SER", 1, "A", 0.4),
            atom("N", "ALA", 2, "", 1.0),
        ];
        let (keep, notes) = choose(&atoms);
        assert_eq!(keep, [0, 2, 4, 5, 6], "B, but OG exists in A only");
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("residue 1 SER: alternate location B kept, 2 atoms"));
    }

    #[test]
    fn a_tie_takes_the_first_label_and_rivals_of_another_name_go() {
        let atoms = [
            atom("CA", "SER", 1, "B", 0.5),
            atom("CA", "THR", 1, "A", 0.5),
            atom("CG2", "THR", 1, "A", 0.5),
            atom("OG", "SER", 1, "B", 0.5),
        ];
        assert_eq!(choose(&atoms).0, [1, 2]);
    }
}
