//! Eight jumps of a peptide, from a program that has its own atoms in its own order: the same as
//! `examples/c/hello_jump.c`, on the crate instead of the C ABI.
//!
//!     cargo run --release --example hello_jump [PEPTIDE.pdb [MODEL.safetensors]]
//!
//! In a project of your own, Cargo.toml needs `marsfm = { path = "…/core/marsfm" }`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use marsfm::session::{AtomRow, Atoms, Session, SessionSettings, Start, Surrogate, default_model};

const JUMPS: usize = 8;

struct MyAtom {
    name: String,
    residue: String,
    number: i32,
    xyz_nm: [f64; 3],
}

/// Stands in for an engine: heavy atoms first, hydrogens behind, in reverse.
fn read_pdb(path: &str) -> Result<Vec<MyAtom>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let (mut heavy, mut hydrogens) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|l| l.starts_with("ATOM") || l.starts_with("HETATM")) {
        let word = |from, to| line.get(from..to).unwrap_or("").trim().to_owned();
        let x = |k: usize| word(30 + 8 * k, 38 + 8 * k).parse::<f64>().map(|x| x / 10.0);
        let atom = MyAtom {
            name: word(12, 16),
            residue: word(17, 20),
            number: word(22, 26).parse()?,
            xyz_nm: [x(0)?, x(1)?, x(2)?],
        };
        if atom.name.starts_with('H') { hydrogens.push(atom) } else { heavy.push(atom) }
    }
    heavy.extend(hydrogens.into_iter().rev());
    Ok(heavy)
}

/// Distance of the first and the last CA, in this program's order.
fn end_to_end_nm(atoms: &[MyAtom], xyz_nm: &[[f64; 3]]) -> f64 {
    let mut ca = atoms.iter().zip(xyz_nm).filter(|(a, _)| a.name == "CA").map(|(_, p)| p);
    let Some(first) = ca.next() else { return 0.0 };
    let last = ca.next_back().unwrap_or(first);
    (0..3).map(|k| (first[k] - last[k]).powi(2)).sum::<f64>().sqrt()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pdb = arguments.first().map_or("examples/data/QLAQ/QLAQ_full.pdb", String::as_str);
    let mine = read_pdb(pdb)?;

    // 1. Who the atoms are, once.
    let atoms = Arc::new(Atoms::new(mine.iter().map(|a| AtomRow {
        name: &a.name,
        residue: &a.residue,
        number: a.number,
        ..AtomRow::default()
    }))?);
    println!("{pdb}: {} atoms, sequence {}", atoms.len(), atoms.sequence());

    // 2. The surrogate, once.
    let model = match arguments.get(1) {
        Some(path) => PathBuf::from(path),
        None => default_model(std::env::current_exe().ok().as_deref())?,
    };
    let surrogate = Arc::new(Surrogate::load(&model)?);
    let domain = &surrogate.card().domain;
    println!(
        "model: one jump is {} ps of MD at {} K with {}",
        domain.lag_ps, domain.temperature_kelvin, domain.force_field
    );

    // 3. A session, and positions in nm.
    let mut settings = SessionSettings::default();
    settings.domain.temperature_kelvin = Some(350.0);
    let session = Session::new(surrogate, atoms, settings)?;
    let positions_nm: Vec<[f64; 3]> = mine.iter().map(|a| a.xyz_nm).collect();
    let start = Start { positions_nm: &positions_nm, cell_nm: None };
    let batch = session.jump(&start, JUMPS, 42)?;

    // 4. Checked conformations, in this program's order again.
    let differences: Vec<&str> = batch.differences().iter().map(|d| d.message.as_str()).collect();
    println!(
        "outside of what the model was trained on: {}",
        match differences.is_empty() {
            true => "nothing known".to_owned(),
            false => differences.join("\n"),
        }
    );
    for (i, sample) in batch.samples().iter().enumerate() {
        let verdict = &sample.verdict;
        print!("sample {i}: ");
        match (verdict.accepted(), verdict.repair.is_empty()) {
            (true, true) => print!("accepted"),
            (true, false) => print!("needs repair {:?}", verdict.repair),
            (false, _) => print!("rejected {:?}", verdict.rejected),
        }
        match batch.positions_nm(i) {
            Ok(xyz_nm) => println!(", end to end {:.3} nm", end_to_end_nm(&mine, &xyz_nm)),
            Err(why) => println!(", {why}"),
        }
    }
    println!("start: end to end {:.3} nm", end_to_end_nm(&mine, &positions_nm));
    println!("{} of {JUMPS} jumps can start MD", batch.n_accepted());
    Ok(())
}
