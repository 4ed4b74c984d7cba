//! An OpenMM System, out of the XML that OpenMM's `XmlSerializer` writes.
//!
//! Harmonic bonds and angles, periodic torsions, the nonbonded force without cutoff, the GBSA-OBC
//! force and constraints are understood, which is what OpenMM's ForceField makes of
//! a peptide in implicit solvent. Anything else is refused by name: a force left out would be a
//! silent error.

use roxmltree::Node;
use std::collections::BTreeMap;

/// Coulomb's constant, kJ nm / (mol e²), OpenMM's value.
pub const COULOMB: f64 = 138.935_456;

/// A bond or a constraint: atoms, length (nm), force constant (kJ/mol/nm²; unused in constraints).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bond {
    /// Atoms.
    pub atoms: [usize; 2],
    /// Length, nm.
    pub length_nm: f64,
    /// Force constant, kJ/mol/nm².
    pub k: f64,
}

/// A harmonic angle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Angle {
    /// Atoms, the middle one in the middle.
    pub atoms: [usize; 3],
    /// Rest angle, radians.
    pub angle: f64,
    /// Force constant, kJ/mol/rad².
    pub k: f64,
}

/// All periodic torsions around the same four atoms: sum over n of
/// `k_n + cos_n cos(n phi) + sin_n sin(n phi)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Torsion {
    /// Atoms.
    pub atoms: [usize; 4],
    /// The constant term, kJ/mol.
    pub constant: f64,
    /// Of cos(n phi), n = 1 to 6, kJ/mol.
    pub cos: [f64; 6],
    /// Of sin(n phi), n = 1 to 6, kJ/mol.
    pub sin: [f64; 6],
}

/// What two atoms do to each other, bonded terms apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pair {
    /// Product of the charges with Coulomb's constant, kJ nm/mol.
    pub coulomb: f64,
    /// Lennard-Jones: c12 / r^12 - c6 / r^6.
    pub c12: f64,
    /// kJ nm^6/mol.
    pub c6: f64,
}

/// One atom in the generalised Born force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Born {
    /// Charge, e.
    pub charge: f64,
    /// Radius, nm.
    pub radius_nm: f64,
    /// Scale of the radius where it descreens others.
    pub scale: f64,
}

/// Generalised Born (OBC2) with the ACE surface term.
#[derive(Clone, Debug, PartialEq)]
pub struct Solvent {
    /// Atoms.
    pub atoms: Vec<Born>,
    /// Dielectric constant of the solute.
    pub solute: f64,
    /// Dielectric constant of the solvent.
    pub solvent: f64,
    /// Surface energy, kJ/mol/nm².
    pub surface: f64,
}

/// Masses, terms and constraints of a molecule.
#[derive(Clone, Debug, PartialEq)]
pub struct System {
    /// Masses, Da.
    pub masses: Vec<f64>,
    /// Fixed distances, in the order of the file.
    pub constraints: Vec<Bond>,
    /// Bonds.
    pub bonds: Vec<Bond>,
    /// Angles.
    pub angles: Vec<Angle>,
    /// Torsions.
    pub torsions: Vec<Torsion>,
    /// Of atoms i < j, in the order (0,1), (0,2), ..., (1,2), ...
    pub pairs: Vec<Pair>,
    /// Implicit solvent; vacuum without.
    pub solvent: Option<Solvent>,
    /// The motion of the centre of mass is taken out at every step.
    pub stops_drift: bool,
}

/// Most atoms: all pairs are kept in memory, and beyond a peptide other engines are faster.
const MOST_ATOMS: usize = 1000;

type Result<T> = std::result::Result<T, String>;

fn number(node: Node<'_, '_>, name: &str) -> Result<f64> {
    let text = node.attribute(name).ok_or_else(|| format!("<{}> has no {name}", tag(node)))?;
    let number = text.parse::<f64>().ok().filter(|x| x.is_finite());
    number.ok_or_else(|| format!("<{} {name}=\"{text}\"> is not a number", tag(node)))
}

fn tag<'a>(node: Node<'a, '_>) -> &'a str {
    node.tag_name().name()
}

fn atoms<const N: usize>(node: Node<'_, '_>, names: [&str; N], n: usize) -> Result<[usize; N]> {
    let mut out = [0; N];
    for (to, name) in out.iter_mut().zip(names) {
        let text = node.attribute(name).unwrap_or("");
        let place = text.parse().ok().filter(|place| *place < n);
        *to = place.ok_or_else(|| format!("<{}> speaks of particle {text} of {n}", tag(node)))?;
    }
    if (1..N).any(|k| out[..k].contains(&out[k])) {
        return Err(format!("<{}> names a particle twice", tag(node)));
    }
    Ok(out)
}

/// The elements inside `<list>` of a force.
fn rows<'a, 'b>(force: Node<'a, 'b>, list: &str) -> impl Iterator<Item = Node<'a, 'b>> {
    let list = force.children().find(|c| c.has_tag_name(list));
    list.into_iter().flat_map(|l| l.children()).filter(Node::is_element)
}

/// Place of the pair i < j in [`System::pairs`].
fn place(i: usize, j: usize, n: usize) -> usize {
    i * n - i * (i + 1) / 2 + j - i - 1
}

impl System {
    /// Reads the XML; the error names the force or the element that is in the way.
    pub fn from_xml(xml: &str) -> Result<Self> {
        let document = roxmltree::Document::parse(xml).map_err(|e| format!("not XML: {e}"))?;
        let root = document.root_element();
        if !root.has_tag_name("System") {
            return Err(format!("holds a <{}>, not a <System>", tag(root)));
        }
        let mut masses = Vec::new();
        for particle in rows(root, "Particles") {
            if particle.children().any(|c| c.is_element()) {
                return Err("virtual sites are not supported".into());
            }
            masses.push(number(particle, "mass")?);
        }
        let n = masses.len();
        if n < 2 || masses.iter().any(|m| *m <= 0.0) {
            return Err(format!("{n} particles; two or more are needed, and none without mass"));
        }
        if n > MOST_ATOMS {
            return Err(format!(
                "has {n} particles; this engine has no cutoff and takes peptides of up to \
                 {MOST_ATOMS}. The openmm engine runs any System"
            ));
        }
        let mut system = Self {
            masses,
            constraints: Vec::new(),
            bonds: Vec::new(),
            angles: Vec::new(),
            torsions: Vec::new(),
            pairs: vec![Pair::default(); n * (n - 1) / 2],
            solvent: None,
            stops_drift: false,
        };
        for row in rows(root, "Constraints") {
            let length_nm = number(row, "d")?;
            system.constraints.push(Bond {
                atoms: atoms(row, ["p1", "p2"], n)?,
                length_nm,
                k: 0.0,
            });
        }
        let mut kinds = Vec::new();
        for force in rows(root, "Forces") {
            let kind = force.attribute("type").unwrap_or("");
            if kinds.contains(&kind) {
                return Err(format!("has more than one {kind}; this engine takes one of a kind"));
            }
            kinds.push(kind);
            system.take(force, n)?;
        }
        Ok(system)
    }

    fn take(&mut self, force: Node<'_, '_>, n: usize) -> Result<()> {
        let kind = force.attribute("type").unwrap_or("");
        let cutoff = force.attribute("method").is_some_and(|m| m != "0");
        if cutoff || force.attribute("usesPeriodic").is_some_and(|p| p != "0") {
            return Err(format!("{kind} is periodic or has a cutoff; only NoCutoff is supported"));
        }
        match kind {
            "HarmonicBondForce" => {
                for row in rows(force, "Bonds") {
                    let atoms = atoms(row, ["p1", "p2"], n)?;
                    let (length_nm, k) = (number(row, "d")?, number(row, "k")?);
                    self.bonds.push(Bond { atoms, length_nm, k });
                }
            }
            "HarmonicAngleForce" => {
                for row in rows(force, "Angles") {
                    let atoms = atoms(row, ["p1", "p2", "p3"], n)?;
                    self.angles.push(Angle {
                        atoms,
                        angle: number(row, "a")?,
                        k: number(row, "k")?,
                    });
                }
            }
            "PeriodicTorsionForce" => self.take_torsions(force, n)?,
            "NonbondedForce" => self.take_nonbonded(force, n)?,
            "GBSAOBCForce" => {
                let mut born = Vec::new();
                for row in rows(force, "Particles") {
                    let (charge, radius_nm) = (number(row, "q")?, number(row, "r")?);
                    born.push(Born { charge, radius_nm, scale: number(row, "scale")? });
                }
                if born.len() != n || born.iter().any(|b| b.radius_nm < 0.01) {
                    return Err(format!(
                        "GBSAOBCForce has {} particles for {n}, or radii below 0.01 nm",
                        born.len()
                    ));
                }
                self.solvent = Some(Solvent {
                    atoms: born,
                    solute: number(force, "soluteDielectric")?,
                    solvent: number(force, "solventDielectric")?,
                    surface: number(force, "surfaceAreaEnergy")?,
                });
            }
            "CMMotionRemover" => self.stops_drift = true,
            other => {
                return Err(format!(
                    "has a {other}, which this engine does not know; it takes HarmonicBondForce, \
                     HarmonicAngleForce, PeriodicTorsionForce, NonbondedForce (NoCutoff), \
                     GBSAOBCForce and CMMotionRemover. The openmm engine runs any System"
                ));
            }
        }
        Ok(())
    }

    fn take_torsions(&mut self, force: Node<'_, '_>, n: usize) -> Result<()> {
        let mut torsions = BTreeMap::new();
        for row in rows(force, "Torsions") {
            let atoms = atoms(row, ["p1", "p2", "p3", "p4"], n)?;
            let (k, phase) = (number(row, "k")?, number(row, "phase")?);
            let periodicity = number(row, "periodicity")?;
            if !(1.0..=6.0).contains(&periodicity) || periodicity.fract() != 0.0 {
                return Err(format!(
                    "a torsion of periodicity {periodicity}; 1 to 6 are supported"
                ));
            }
            let torsion = torsions.entry(atoms).or_insert(Torsion {
                atoms,
                constant: 0.0,
                cos: [0.0; 6],
                sin: [0.0; 6],
            });
            torsion.constant += k;
            torsion.cos[periodicity as usize - 1] += k * phase.cos();
            torsion.sin[periodicity as usize - 1] += k * phase.sin();
        }
        self.torsions.extend(torsions.into_values());
        Ok(())
    }

    fn take_nonbonded(&mut self, force: Node<'_, '_>, n: usize) -> Result<()> {
        for list in ["ParticleOffsets", "ExceptionOffsets"] {
            if rows(force, list).next().is_some() {
                return Err(format!("NonbondedForce has {list}, which this engine does not know"));
            }
        }
        let mut particles = Vec::new();
        for row in rows(force, "Particles") {
            particles.push((number(row, "q")?, number(row, "sig")?, number(row, "eps")?));
        }
        if particles.len() != n {
            return Err(format!("NonbondedForce has {} particles for {n}", particles.len()));
        }
        let pair = |qq: f64, sigma: f64, epsilon: f64| {
            let s6 = sigma.powi(6);
            Pair { coulomb: COULOMB * qq, c12: 4.0 * epsilon * s6 * s6, c6: 4.0 * epsilon * s6 }
        };
        for i in 0..n {
            for j in i + 1..n {
                let ((q, s, e), (r, t, f)) = (particles[i], particles[j]);
                self.pairs[place(i, j, n)] = pair(q * r, 0.5 * (s + t), (e * f).sqrt());
            }
        }
        for row in rows(force, "Exceptions") {
            let [i, j] = atoms(row, ["p1", "p2"], n)?;
            let qq = number(row, "q")?;
            self.pairs[place(i.min(j), i.max(j), n)] =
                pair(qq, number(row, "sig")?, number(row, "eps")?);
        }
        Ok(())
    }

    /// Number of atoms.
    pub fn n_atoms(&self) -> usize {
        self.masses.len()
    }

    /// Degrees of freedom of the kinetic energy.
    pub fn freedom(&self) -> f64 {
        let drift = if self.stops_drift { 3 } else { 0 };
        (3 * self.n_atoms() - self.constraints.len() - drift) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"<System><Particles><Particle mass="12"/><Particle mass="1"/></Particles>
        <Constraints><Constraint d=".1" p1="0" p2="1"/></Constraints><Forces>"#;

    fn read(forces: &str) -> Result<System> {
        System::from_xml(&format!("{HEAD}{forces}</Forces></System>"))
    }

    #[test]
    fn torsions_of_the_same_atoms_are_one_series() {
        let particles = r#"<Particle mass="12"/>"#.repeat(4);
        let row = |n: u32, k: f64, phase: f64| {
            format!(
                r#"<Torsion k="{k}" p1="0" p2="1" p3="2" p4="3" periodicity="{n}" phase="{phase}"/>"#
            )
        };
        let rows = [row(1, 2.0, 0.0), row(3, 4.0, std::f64::consts::FRAC_PI_2)].concat();
        let xml = format!(
            r#"<System><Particles>{particles}</Particles><Forces><Force type="PeriodicTorsionForce">
            <Torsions>{rows}</Torsions></Force></Forces></System>"#
        );
        let torsion = System::from_xml(&xml).unwrap().torsions[0];
        assert_eq!((torsion.constant, torsion.cos[0], torsion.sin[2]), (6.0, 2.0, 4.0));
        assert!(torsion.cos[2].abs() < 1e-15);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (forces, words) in [
            (r#"<Force type="CustomGBForce"/>"#, "CustomGBForce"),
            (r#"<Force type="NonbondedForce" method="4"/>"#, "cutoff"),
            (r#"<Force type="NonbondedForce" method="0"/>"#, "0 particles for 2"),
            (
                r#"<Force type="HarmonicBondForce"><Bonds><Bond d=".1" k="1" p1="0" p2="2"/></Bonds></Force>"#,
                "particle 2 of 2",
            ),
            (
                r#"<Force type="HarmonicBondForce"><Bonds><Bond d="x" k="1" p1="0" p2="1"/></Bonds></Force>"#,
                "is not a number",
            ),
            (
                r#"<Force type="HarmonicBondForce"><Bonds><Bond d=".1" k="1" p1="1" p2="1"/></Bonds></Force>"#,
                "twice",
            ),
            (
                r#"<Force type="CMMotionRemover"/><Force type="CMMotionRemover"/>"#,
                "more than one CMMotionRemover",
            ),
            (
                r#"<Force type="HarmonicBondForce"><Bonds><Bond d=".1" k="1" p1="-1" p2="1"/></Bonds></Force>"#,
                "particle -1 of 2",
            ),
        ] {
            let error = read(forces).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let crowd = r#"<Particle mass="12"/>"#.repeat(1001);
        let crowd = format!("<System><Particles>{crowd}</Particles></System>");
        assert!(System::from_xml(&crowd).unwrap_err().contains("1001 particles"));
        assert!(System::from_xml("<State/>").unwrap_err().contains("<State>"));
        assert!(System::from_xml("rubbish").unwrap_err().contains("not XML"));
        let system = read(r#"<Force type="CMMotionRemover"/>"#).unwrap();
        assert_eq!(system.freedom(), 2.0);
    }
}
