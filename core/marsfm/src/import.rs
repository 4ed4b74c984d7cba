//! Any ensemble as seeds: frames of another program's model, of hot MD, of metadynamics. Missing
//! heavy atoms of side chains are rebuilt, every frame gets the verdict that a draw would get, and
//! the accepted ones become seeds for `marsfm engine prepare`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm_geometry::residue::canonical_atom;
use marsfm_geometry::{ATOM14, Cell, Conformation, Peptide, ResidueType, Topology};
use marsfm_host::Host;
use marsfm_sampling::{Known, Reason, ResidueLibrary, Verdict, complete, judge_atoms};
use marsfm_trajectory::Frame;
use serde::Serialize;

/// What to import.
pub struct ImportRequest<'a> {
    /// Atoms of the frames.
    pub topology: &'a Path,
    /// Frames; those of the topology's file if `None`.
    pub frames: Option<&'a Path>,
    /// Take every so many-th frame.
    pub stride: usize,
    /// Chain to take, where the file holds several.
    pub chain: Option<&'a str>,
    /// MD to draw side chains from; staggered chis without it.
    pub library: Option<&'a ResidueLibrary>,
    /// Close the accepted chains as those of the surrogate's seeds are.
    pub close: bool,
    /// Random seed of the side chains.
    pub rng_seed: u64,
    /// Folder to write into.
    pub out: &'a Path,
}

/// One frame.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// Its number in the file.
    pub frame: usize,
    /// Residues that got atoms.
    pub rebuilt: usize,
    /// As for draws of a surrogate.
    pub verdict: Verdict,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Import {
    /// Sequence of the chain.
    pub sequence: String,
    /// How side chains were rebuilt, in words.
    pub side_chains: String,
    /// Accepted frames.
    pub accepted: usize,
    /// Accepted frames that minimisation has to mend.
    pub need_repair: usize,
    /// Rejections by reason; a frame can have several.
    pub rejected: BTreeMap<Reason, usize>,
    /// The accepted frames, heavy atoms only, one model each; `None` if there is none.
    pub seeds: Option<PathBuf>,
    /// Every frame; model k of the seeds is the k-th accepted one.
    pub frames: Vec<Imported>,
}

/// The chain's residues in a file.
struct Chain {
    types: Vec<ResidueType>,
    /// Atom of each slot, where the file has it.
    atoms: Vec<[Option<usize>; ATOM14]>,
    /// All heavy atoms, with the file's chain, numbers and insertion codes.
    topology: Topology,
}

impl Chain {
    fn of(topology: &Topology, wanted: Option<&str>) -> Result<Self> {
        let mut chain = Self { types: vec![], atoms: vec![], topology: Topology::new() };
        let mut names: Vec<&str> = Vec::new();
        for residue in &topology.residues {
            let kind = ResidueType::from_name(&residue.name.to_ascii_uppercase());
            let Some(kind) = kind.filter(|k| *k != ResidueType::X) else { continue };
            if !names.contains(&residue.chain.as_str()) {
                names.push(&residue.chain);
            }
            if wanted.is_some_and(|w| w != residue.chain) {
                continue;
            }
            let mut slots = [None; ATOM14];
            for atom in residue.atoms.clone() {
                let name = canonical_atom(kind, &topology.atoms[atom].name);
                if let Some(slot) = kind.slot(name) {
                    if slots[slot].is_some() {
                        bail!("{} is there twice", topology.atom_label(atom));
                    }
                    slots[slot] = Some(atom);
                }
            }
            for name in kind.atom14_names() {
                let (number, insertion) = (residue.number, &residue.insertion);
                chain.topology.push(
                    name,
                    &name[..1],
                    kind.name(),
                    number,
                    insertion,
                    &residue.chain,
                );
            }
            chain.types.push(kind);
            chain.atoms.push(slots);
        }
        if wanted.is_none() && names.len() > 1 {
            bail!(
                "the file has the chains {}; choose one with --chain (a surrogate and its seeds are \
                 of one chain)",
                names.join(", ")
            );
        }
        ensure!(!chain.types.is_empty(), "no amino acid was found (of chain {wanted:?})");
        Ok(chain)
    }

    /// The known atoms of a frame in Å, each beside the one before it if there is a cell.
    fn known(&self, frame: &Frame) -> Result<Vec<Known>> {
        let cell = frame.cell_nm.as_ref().map(Cell::new).transpose()?;
        let mut last: Option<[f32; 3]> = None;
        let whole = |p: [f32; 3], anchor: Option<[f32; 3]>| -> [f32; 3] {
            let (Some(cell), Some(from)) = (&cell, anchor) else { return p };
            let shift =
                cell.shift_to_minimum([0, 1, 2].map(|k| f64::from(p[k]) - f64::from(from[k])));
            std::array::from_fn(|k| p[k] + shift[k] as f32)
        };
        let mut all = Vec::with_capacity(self.types.len());
        for slots in &self.atoms {
            // Along the chain from C to N to CA; the rest of a residue is never far from its CA.
            let n = slots[0].map(|a| whole(frame.positions_nm[a], last));
            let ca = slots[1].map(|a| whole(frame.positions_nm[a], n));
            let mut own: Known = [None; ATOM14];
            for (slot, atom) in slots.iter().enumerate() {
                own[slot] = atom.map(|a| match slot {
                    0 => n.unwrap_or_default(),
                    1 => ca.unwrap_or_default(),
                    _ => whole(frame.positions_nm[a], ca),
                });
            }
            last = own[2].or(ca);
            all.push(own.map(|p| p.map(|p| p.map(|x| x * 10.0))));
        }
        Ok(all)
    }
}

/// Imports.
pub fn import(host: &Host, request: &ImportRequest) -> Result<Import> {
    let (topology, _) = host.read_topology(request.topology)?;
    let file = request.frames.unwrap_or(request.topology);
    let chain = Chain::of(&topology, request.chain)
        .with_context(|| format!("{}", request.topology.display()))?;
    ensure!(request.stride > 0, "a stride of 0 frames");
    let mut source = host.open(file, Some(topology.len()))?;
    let (mut made, mut seeds) = (Vec::new(), Vec::new());
    let (mut frame, mut number) = (Frame::default(), 0);
    while source.read(&mut frame)? {
        if number % request.stride == 0 {
            let place = || format!("{}, frame {number}", file.display());
            let (imported, positions_nm) =
                one(&chain, request, &frame, number).with_context(place)?;
            if imported.verdict.accepted() {
                let time_ps = Some(seeds.len() as f64);
                seeds.push(Frame { positions_nm, cell_nm: None, time_ps });
            }
            made.push(imported);
        }
        number += 1;
    }
    ensure!(!made.is_empty(), "{}: holds no frame", file.display());
    std::fs::create_dir_all(request.out)
        .with_context(|| format!("{}: cannot create the folder", request.out.display()))?;
    let mut path = None;
    if let Some(first) = seeds.first() {
        // What an engine will be told must be a chain that it can be told of.
        Peptide::from_topology(&chain.topology, &first.positions_nm)
            .context("the accepted frames")?;
        let seeds_file = request.out.join("seeds.pdb");
        let mut sink = host.create(&seeds_file, &chain.topology)?;
        for frame in &seeds {
            sink.write(frame)?;
        }
        sink.finish()?;
        path = Some(seeds_file);
    }
    let mut rejected = BTreeMap::new();
    for reason in made.iter().flat_map(|m| &m.verdict.rejected) {
        *rejected.entry(*reason).or_insert(0) += 1;
    }
    let needs = |m: &&Imported| m.verdict.accepted() && !m.verdict.repair.is_empty();
    let result = Import {
        sequence: chain.types.iter().map(|t| t.letter()).collect(),
        side_chains: match (made.iter().any(|m| m.rebuilt > 0), request.library) {
            (false, _) => "all atoms were there".into(),
            (true, Some(_)) => "drawn from residues of MD with a like backbone".into(),
            (true, None) => "drawn at staggered chis, each as likely as the others".into(),
        },
        accepted: seeds.len(),
        need_repair: made.iter().filter(needs).count(),
        rejected,
        seeds: path,
        frames: made,
    };
    let text = serde_json::to_vec(&result)?;
    let record = request.out.join("seeds.json");
    marsfm_trajectory::write_atomically(&record, &text)
        .with_context(|| format!("{}: cannot write", record.display()))?;
    Ok(result)
}

/// One frame: its verdict and its positions, nm.
fn one(
    chain: &Chain,
    request: &ImportRequest,
    frame: &Frame,
    number: usize,
) -> Result<(Imported, Vec<[f32; 3]>)> {
    let types = &chain.types;
    let known = chain.known(frame)?;
    let mut made = complete(types, &known, request.library, request.rng_seed, number as u64)?;
    let mut verdict = judge_atoms(types, &made.atoms);
    if request.close {
        let shape = Conformation::from_atom14(types, &made.atoms);
        let (closed, after) = marsfm_sampling::idealise(types, &shape, &verdict);
        if after.idealised_angstrom > 0.0 {
            (made.atoms, verdict) = (closed.to_atom14(types), after);
        }
    }
    let mut positions = Vec::with_capacity(chain.topology.len());
    for (i, kind) in types.iter().enumerate() {
        for slot in 0..kind.n_atoms() {
            let own = chain.atoms[i][slot].filter(|_| verdict.idealised_angstrom == 0.0);
            positions.push(match own {
                // As in the file, to the bit, where no cell moved it.
                Some(atom) if frame.cell_nm.is_none() => frame.positions_nm[atom],
                _ => made.atoms[i][slot].map(|x| x / 10.0),
            });
        }
    }
    Ok((Imported { frame: number, rebuilt: made.rebuilt.len(), verdict }, positions))
}
