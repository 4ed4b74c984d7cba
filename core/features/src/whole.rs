//! Putting chains together that a periodic cell cut: every residue's atoms as the images nearest
//! to its Cα, every Cα as the image nearest to the one before it. Exact as long as neighbouring
//! Cα (0.38 nm) and side chains (< 1 nm) are shorter than half the cell.

use marsfm_geometry::Cell;

use crate::FeatureError;

/// The cell of a frame, if it has one.
pub(crate) fn cell_of(cell_nm: Option<&[[f32; 3]; 3]>) -> Result<Option<Cell>, FeatureError> {
    let flat = |rows: &[[f32; 3]; 3]| Cell::new(rows).map_err(|_| FeatureError::FlatCell(*rows));
    cell_nm.map(flat).transpose()
}

/// `positions[i] - positions[j]` in nm, nearest image if there is a cell.
pub(crate) fn difference(
    positions_nm: &[[f32; 3]],
    i: usize,
    j: usize,
    cell: Option<&Cell>,
) -> [f64; 3] {
    let (p, q) = (positions_nm[i].map(f64::from), positions_nm[j].map(f64::from));
    let d = [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
    nearest(d, cell)
}

/// One group of atoms that belong together: an anchor (Cα) and the atoms around it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The atom that is placed relative to the previous group's anchor.
    pub(crate) anchor: usize,
    /// The other atoms, placed relative to the anchor.
    pub(crate) atoms: Vec<usize>,
}

/// Coordinates (nm, f64) of all groups' atoms as whole neighbours: each anchor is the image
/// nearest to the anchor before it, each atom the image nearest to its anchor. The result is
/// indexed as `positions_nm`; atoms of no group keep their coordinates.
pub(crate) fn make_whole(
    positions_nm: &[[f32; 3]],
    cell: Option<&Cell>,
    groups: &[Group],
) -> Vec<[f64; 3]> {
    let mut out: Vec<[f64; 3]> = positions_nm.iter().map(|p| p.map(f64::from)).collect();
    let Some(cell) = cell else { return out };
    let mut previous: Option<usize> = None;
    for group in groups {
        if let Some(p) = previous {
            out[group.anchor] = near(cell, out[group.anchor], out[p]);
        }
        for &atom in &group.atoms {
            out[atom] = near(cell, out[atom], out[group.anchor]);
        }
        previous = Some(group.anchor);
    }
    out
}

/// The shortest periodic image of a vector.
fn nearest(d: [f64; 3], cell: Option<&Cell>) -> [f64; 3] {
    let Some(cell) = cell else { return d };
    let shift = cell.shift_to_minimum(d);
    [d[0] + shift[0], d[1] + shift[1], d[2] + shift[2]]
}

fn near(cell: &Cell, p: [f64; 3], to: [f64; 3]) -> [f64; 3] {
    let d = nearest([p[0] - to[0], p[1] - to[1], p[2] - to[2]], Some(cell));
    [to[0] + d[0], to[1] + d[1], to[2] + d[2]]
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_chain_is_put_together() {
        let cell = Cell::new(&[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]).unwrap();
        let whole: Vec<[f32; 3]> = (0..10).map(|i| [0.38 * i as f32, 0.1, 0.0]).collect();
        let cut: Vec<[f32; 3]> = whole.iter().map(|p| [p[0] % 2.0, p[1], p[2]]).collect();
        let groups: Vec<Group> =
            (0..5).map(|g| Group { anchor: 2 * g, atoms: vec![2 * g + 1] }).collect();
        let out = make_whole(&cut, Some(&cell), &groups);
        for (p, q) in out.iter().zip(&whole) {
            assert!((p[0] - f64::from(q[0])).abs() < 1e-5);
        }
    }

    /// A rhombic dodecahedron as GROMACS writes it; atoms moved by whole cell vectors.
    #[test]
    fn a_chain_in_a_triclinic_cell_is_put_together() {
        let vectors = [[2.2, 0.0, 0.0], [0.0, 2.2, 0.0], [1.1, 1.1, 1.555_635]];
        let cell = Cell::new(&vectors).unwrap();
        let whole: Vec<[f32; 3]> =
            (0..12).map(|i| [0.3 * i as f32, 0.1 * (i % 3) as f32, 0.2 * i as f32]).collect();
        let cut: Vec<[f32; 3]> = whole
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let n = [i % 3, (i * 5) % 4, (i * 7) % 3].map(|n| n as f32 - 1.0);
                std::array::from_fn(|k| p[k] + (0..3).map(|v| n[v] * vectors[v][k]).sum::<f32>())
            })
            .collect();
        let groups: Vec<Group> =
            (0..6).map(|g| Group { anchor: 2 * g, atoms: vec![2 * g + 1] }).collect();
        let out = make_whole(&cut, Some(&cell), &groups);
        for i in 1..12 {
            for k in 0..3 {
                let (found, want) = (out[i][k] - out[0][k], f64::from(whole[i][k] - whole[0][k]));
                assert!((found - want).abs() < 1e-5, "{i} {out:?}");
            }
        }
    }
}
