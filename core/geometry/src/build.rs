//! A chain from its sequence: topology, positions and conformation with ideal geometry, for
//! starting structures and tests. Peptide bonds are trans, C–N 1.329 Å, CA–C–N 116.2°,
//! C–N–CA 121.7° (Engh and Huber).

use crate::conformation::Conformation;
use crate::error::GeometryError;
use crate::real::{Real, Vec3, add, cross, dot, norm, scale, sub};
use crate::residue::ResidueType;
use crate::rigid::Rigid;
use crate::topology::Topology;

const C_N: f64 = 1.329;
const CA_C_N: f64 = 116.2;
const C_N_CA: f64 = 121.7;

/// A chain built from its sequence.
#[derive(Clone, Debug)]
pub struct IdealChain {
    /// Heavy atoms in atom14 order, no OXT; chain `A`, numbers from 1.
    pub topology: Topology,
    /// Positions, nm.
    pub positions_nm: Vec<[f32; 3]>,
    /// Rigids and torsions, Å.
    pub conformation: Conformation<f32>,
}

/// An extended chain (phi −135°, psi 135°, all chi −60°) of a one-letter sequence.
pub fn extended(sequence: &str) -> Result<IdealChain, GeometryError> {
    let angles = vec![[-135.0, 135.0]; sequence.chars().count()];
    chain(sequence, &angles)
}

/// A chain with the given (phi, psi) in degrees for each residue; see [`extended`].
pub fn chain(sequence: &str, phi_psi: &[[f64; 2]]) -> Result<IdealChain, GeometryError> {
    let mut types = Vec::new();
    for (i, letter) in sequence.chars().enumerate() {
        match ResidueType::from_letter(letter) {
            Some(kind) if kind != ResidueType::X => types.push(kind),
            _ => return Err(GeometryError::BadLetter { letter, position: i + 1 }),
        }
    }
    if types.is_empty() {
        return Err(GeometryError::NoProtein);
    }
    if phi_psi.len() != types.len() {
        return Err(GeometryError::ResidueCount { expected: types.len(), got: phi_psi.len() });
    }
    let mut shape = Conformation { rigids: Vec::new(), torsions: Vec::new() };
    let mut before: Option<[Vec3<f64>; 3]> = None;
    for (i, kind) in types.iter().enumerate() {
        let local = &f64::tables().positions[kind.index()];
        let atoms = match before {
            None => [local[0], local[1], local[2]],
            Some([n, ca, c]) => {
                let (n_ca, ca_c) = (norm(local[0]), norm(local[2]));
                let angle = angle_degrees(local[0], local[2]);
                let n2 = next(n, ca, c, C_N, CA_C_N, phi_psi[i - 1][1]);
                let ca2 = next(ca, c, n2, n_ca, C_N_CA, 180.0);
                [n2, ca2, next(c, n2, ca2, ca_c, angle, phi_psi[i][0])]
            }
        };
        shape.rigids.push(Rigid::from_backbone(atoms[0], atoms[1], atoms[2]));
        let sc = |degrees: f64| [degrees.to_radians().sin(), degrees.to_radians().cos()];
        let mut torsions = [sc(-60.0); 7];
        torsions[0] = sc(180.0);
        torsions[1] = sc(phi_psi[i][0]);
        torsions[2] = sc(phi_psi[i][1]);
        shape.torsions.push(torsions);
        before = Some(atoms);
    }
    shape.clear_masked(&types);
    let shape: Conformation<f32> = shape.cast();
    let mut topology = Topology::new();
    let mut positions = Vec::new();
    for (i, (kind, atoms)) in types.iter().zip(shape.to_atom14(&types)).enumerate() {
        for (name, p) in kind.atom14_names().zip(atoms) {
            topology.push(name, &name[..1], kind.name(), i as i32 + 1, "", "A");
            positions.push(p.map(|x| x / 10.0));
        }
    }
    Ok(IdealChain { topology, positions_nm: positions, conformation: shape })
}

/// The point at `length` from c with angle b–c–x and dihedral a–b–c–x (degrees).
fn next(
    a: Vec3<f64>,
    b: Vec3<f64>,
    c: Vec3<f64>,
    length: f64,
    angle: f64,
    dihedral: f64,
) -> Vec3<f64> {
    let unit = |v: Vec3<f64>| scale(v, 1.0 / norm(v));
    let x = unit(sub(c, b));
    let z = unit(cross(sub(b, a), x));
    let y = cross(z, x);
    let (angle, dihedral) = (angle.to_radians(), dihedral.to_radians());
    let d = add(
        scale(x, -length * angle.cos()),
        add(
            scale(y, length * angle.sin() * dihedral.cos()),
            scale(z, length * angle.sin() * dihedral.sin()),
        ),
    );
    add(c, d)
}

fn angle_degrees(a: Vec3<f64>, b: Vec3<f64>) -> f64 {
    (dot(a, b) / (norm(a) * norm(b))).acos().to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peptide::Peptide;

    #[test]
    fn every_residue_is_built_recognised_and_has_the_torsions_asked_for() {
        let letters: String = ResidueType::ALL[..20].iter().map(|k| k.letter()).collect();
        let built = extended(&letters).unwrap();
        let (positions, shape) = (built.positions_nm, built.conformation);
        let peptide = Peptide::from_topology(&built.topology, &positions).unwrap();
        assert_eq!(peptide.sequence(), letters);
        let again = peptide.encode(&positions).unwrap();
        for (i, (a, b)) in shape.torsions.iter().zip(&again.torsions).enumerate() {
            for k in 0..7 {
                // Table positions have three decimals: torsions read back to a few 1e-3.
                let d = (a[k][0] - b[k][0]).abs() + (a[k][1] - b[k][1]).abs();
                assert!(d < 0.02, "residue {i} torsion {k}: {:?} {:?}", a[k], b[k]);
            }
        }
        assert!(matches!(extended("AXA"), Err(GeometryError::BadLetter { position: 2, .. })));
        assert_eq!(extended("").unwrap_err(), GeometryError::NoProtein);
    }
}
