//! PDB files with one or many models, as trajectories. PDB has no time.

use crate::altloc::choose;
use crate::cell::lengths_angles;
use crate::pdb::{Model, next_model};
use marsfm_plugin_api::{AtomRecord, FrameMut, FrameRef, PluginError, ReadFrames, WriteFrames};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Reads models as frames. The conformer chosen in the first model holds for all.
pub struct PdbReader {
    file: Counting<BufReader<File>>,
    /// Byte and line at which each model starts.
    starts: Vec<(u64, usize)>,
    next: usize,
    line: usize,
    model: Model,
    keep: Vec<usize>,
    n_raw: usize,
}

/// Counts the bytes read, since a `BufReader` hides them.
struct Counting<R> {
    inner: R,
    at: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.at += n as u64;
        self.inner.consume(n);
    }
}

impl PdbReader {
    /// Opens the file and finds its models.
    pub fn open(path: &Path) -> Result<Self, PluginError> {
        let mut file =
            Counting { inner: BufReader::with_capacity(1 << 16, File::open(path)?), at: 0 };
        let (mut starts, mut line, mut model) = (Vec::new(), 0, Model::default());
        let (mut keep, mut n_raw) = (Vec::new(), 0);
        loop {
            let start = (file.at, line);
            if !next_model(&mut file, &mut line, &mut model)? {
                break;
            }
            if starts.is_empty() {
                n_raw = model.atoms.len();
                keep = choose(&model.atoms).0;
            }
            starts.push(start);
        }
        if starts.is_empty() {
            return Err(PluginError::format("no ATOM or HETATM line: is this a PDB file?"));
        }
        let mut reader =
            Self { file, starts, next: 0, line: 0, model: Model::default(), keep, n_raw };
        reader.seek(0)?;
        Ok(reader)
    }
}

impl ReadFrames for PdbReader {
    fn n_atoms(&self) -> usize {
        self.keep.len()
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.starts.len() as u64)
    }

    fn read(&mut self, frame: &mut FrameMut<'_>) -> Result<bool, PluginError> {
        if !next_model(&mut self.file, &mut self.line, &mut self.model)? {
            return Ok(false);
        }
        let (got, want) = (self.model.atoms.len(), self.n_raw);
        if got != want {
            let message = format!("frame {}: {got} atoms, the first model has {want}", self.next);
            return Err(PluginError::mismatch(message));
        }
        for (to, &from) in frame.positions_nm.iter_mut().zip(&self.keep) {
            *to = self.model.atoms[from].xyz_nm();
        }
        frame.cell_nm = self.model.cell_nm;
        self.next += 1;
        Ok(true)
    }

    fn seek(&mut self, index: u64) -> Result<(), PluginError> {
        let found = usize::try_from(index).ok().and_then(|i| self.starts.get(i));
        let Some(&(byte, line)) = found else {
            let n = self.starts.len();
            return Err(PluginError::invalid(format!("there is no frame {index}, only {n}")));
        };
        self.file.inner.seek(SeekFrom::Start(byte))?;
        self.file.at = byte;
        (self.line, self.next) = (line, index as usize);
        Ok(())
    }
}

/// Writes frames as models; a single frame is written without `MODEL`.
pub struct PdbWriter {
    file: BufWriter<File>,
    /// Everything of an atom's line before and after its coordinates.
    lines: Vec<(String, String)>,
    /// Lines after which a chain ends.
    ends: Vec<bool>,
    first: Option<String>,
    written: usize,
}

impl PdbWriter {
    /// Creates the file; names that do not fit the columns are errors.
    pub fn create(path: &Path, atoms: &[AtomRecord]) -> Result<Self, PluginError> {
        let lines =
            atoms.iter().enumerate().map(|(i, a)| atom_line(i, a)).collect::<Result<_, _>>()?;
        let ends = (0..atoms.len())
            .map(|i| atoms.get(i + 1).is_none_or(|next| next.chain != atoms[i].chain))
            .collect();
        let file = BufWriter::new(File::create(path)?);
        Ok(Self { file, lines, ends, first: None, written: 0 })
    }

    fn text(&self, frame: FrameRef<'_>) -> Result<String, PluginError> {
        let mut text = String::with_capacity(81 * self.lines.len());
        if let Some(cell) = &frame.cell_nm {
            let ([a, b, c], [alpha, beta, gamma]) = lengths_angles(cell);
            text += &format!(
                "CRYST1{a:9.3}{b:9.3}{c:9.3}{alpha:7.2}{beta:7.2}{gamma:7.2} P 1           1\n"
            );
        }
        for (i, (before, after)) in self.lines.iter().enumerate() {
            text += before;
            for x in frame.positions_nm[i] {
                let angstrom = f64::from(x) * 10.0;
                if !(-999.9994..9999.9994).contains(&angstrom) {
                    return Err(PluginError::invalid(format!(
                        "frame {}, atom {i}: coordinate {angstrom} Å does not fit into a PDB file",
                        self.written
                    )));
                }
                text += &format!("{angstrom:8.3}");
            }
            text += after;
            if self.ends[i] {
                text += "TER\n";
            }
        }
        Ok(text)
    }

    fn model(&mut self, number: usize, text: &str) -> Result<(), PluginError> {
        write!(self.file, "MODEL     {:4}\n{text}ENDMDL\n", number % 10_000)?;
        Ok(())
    }
}

impl WriteFrames for PdbWriter {
    fn write(&mut self, frame: FrameRef<'_>) -> Result<(), PluginError> {
        let text = self.text(frame)?;
        self.written += 1;
        if self.written == 1 {
            self.first = Some(text);
            return Ok(());
        }
        if let Some(first) = self.first.take() {
            self.model(1, &first)?;
        }
        self.model(self.written, &text)
    }

    fn finish(mut self: Box<Self>) -> Result<(), PluginError> {
        if let Some(first) = self.first.take() {
            self.file.write_all(first.as_bytes())?;
        }
        self.file.write_all(b"END\n")?;
        self.file.flush()?;
        Ok(())
    }
}

const POLYMER: &str = " ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP \
TYR VAL HID HIE HIP HSD HSE HSP CYX CYM ASH GLH LYN ACE NME NMA NH2 ";

fn atom_line(index: usize, a: &AtomRecord) -> Result<(String, String), PluginError> {
    let fits = |text: &str, n: usize, what: &str| {
        if text.len() <= n && text.is_ascii() {
            return Ok(());
        }
        let message = format!("atom {index}: {what} `{text}` does not fit into a PDB file");
        Err(PluginError::invalid(message))
    };
    fits(&a.name, 4, "atom name")?;
    fits(&a.residue_name, 4, "residue name")?;
    fits(&a.chain, 1, "chain")?;
    fits(&a.insertion, 1, "insertion code")?;
    fits(&a.element, 2, "element")?;
    let kind = if POLYMER.contains(&format!(" {} ", a.residue_name)) { "ATOM  " } else { "HETATM" };
    let name = if a.name.len() == 4 || a.element.len() == 2 {
        format!("{:<4}", a.name)
    } else {
        format!(" {:<3}", a.name)
    };
    let serial = (index + 1) % 100_000;
    let number =
        if a.residue_number >= -999 { a.residue_number % 10_000 } else { a.residue_number % 1000 };
    let residue = format!("{:>3}", a.residue_name);
    let before =
        format!("{kind}{serial:5} {name} {residue:<4}{:1}{number:4}{:1}   ", a.chain, a.insertion);
    let after = format!("  1.00  0.00          {:>2}\n", a.element.to_uppercase());
    Ok((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms() -> Vec<AtomRecord> {
        let atom = |name: &str, element: &str, residue: &str, number, chain: &str| AtomRecord {
            name: name.into(),
            element: element.into(),
            residue_name: residue.into(),
            residue_number: number,
            chain: chain.into(),
            insertion: String::new(),
        };
        vec![
            atom("CA", "C", "ALA", 1, "A"),
            atom("HG11", "H", "VAL", 2, "A"),
            atom("CA", "Ca", "CA", 12345, "B"),
        ]
    }

    #[test]
    fn models_are_written_read_and_sought() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.pdb");
        let frames: Vec<[[f32; 3]; 3]> =
            (0..3).map(|f| [[f as f32, 0.1, -0.2], [1.0, 2.0, 3.0], [0.0; 3]]).collect();
        let cell = Some([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 5.0]]);
        for n in [1, 3] {
            let mut writer = Box::new(PdbWriter::create(&path, &atoms()).unwrap());
            for positions in &frames[..n] {
                let frame = FrameRef { positions_nm: positions, cell_nm: cell, time_ps: None };
                writer.write(frame).unwrap();
            }
            writer.finish().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.contains("MODEL"), n > 1, "{text}");
            let mut reader = PdbReader::open(&path).unwrap();
            assert_eq!((reader.n_atoms(), reader.n_frames()), (3, Some(n as u64)));
            for f in (0..n).rev() {
                reader.seek(f as u64).unwrap();
                let mut positions_nm = [[0.0; 3]; 3];
                let mut frame = FrameMut {
                    positions_nm: &mut positions_nm,
                    cell_nm: None,
                    time_ps: None,
                    time_is_trusted: false,
                };
                assert!(reader.read(&mut frame).unwrap());
                assert_eq!(frame.cell_nm, cell);
                assert_eq!(positions_nm, frames[f]);
            }
            assert!(reader.seek(n as u64).is_err());
        }
        let top = crate::pdb::read_topology(&path).unwrap();
        let mut want = atoms();
        want[2].residue_number = 2345; // four columns
        assert_eq!(top.atoms, want);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.pdb");
        let mut long = atoms();
        long[1].name = "HG111".into();
        assert!(PdbWriter::create(&path, &long).is_err());
        let mut writer = PdbWriter::create(&path, &atoms()).unwrap();
        let far = [[0.0; 3], [0.0, 1e6, 0.0], [0.0; 3]];
        let frame = FrameRef { positions_nm: &far, cell_nm: None, time_ps: None };
        let error = writer.write(frame).unwrap_err();
        assert!(error.message.contains("frame 0, atom 1"), "{error}");
    }
}
