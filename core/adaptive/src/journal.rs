//! The journal: an append-only file of records, each synced before it counts.
//!
//! After a magic of 16 bytes, a record is: length, number, CRC-32 of the payload, CRC-32 of these
//! twelve bytes (all u32, little-endian), then the payload. A process that is killed leaves a
//! prefix of its last record, a machine that loses power perhaps zeros: such a tail was never
//! acknowledged and is cut off. Anything else that does not fit is damage, and an error.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::LoopError;

const MAGIC: &[u8; 16] = b"marsfm-journal1\n";
const HEADER: usize = 16;

/// Told the name of each point at which a kill is worth a test.
pub type Point<'a> = &'a dyn Fn(&'static str);

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    next: u32,
}

/// What was read from an existing journal.
#[derive(Debug)]
pub struct Contents {
    /// Payloads in the order in which they were written.
    pub records: Vec<Vec<u8>>,
    /// Bytes of a record that was never finished; they are cut off.
    pub torn_bytes: u64,
}

impl Journal {
    /// Makes an empty journal; an existing file is an error.
    pub fn create(path: &Path) -> Result<Self, LoopError> {
        if path.exists() {
            return Err(LoopError::new(path, "exists already"));
        }
        marsfm_trajectory::write_atomically(path, MAGIC).map_err(|e| LoopError::io(path, &e))?;
        Ok(Self::open(path)?.0)
    }

    /// Opens a journal and reads it; a torn tail is cut off.
    pub fn open(path: &Path) -> Result<(Self, Contents), LoopError> {
        let (contents, whole) = read(path)?;
        let io = |e: std::io::Error| LoopError::io(path, &e);
        let file = OpenOptions::new().write(true).open(path).map_err(io)?;
        if contents.torn_bytes > 0 {
            file.set_len(whole).map_err(io)?;
            file.sync_all().map_err(io)?;
        }
        let next = contents.records.len() as u32;
        Ok((Self { path: path.into(), file, length: whole, next }, contents))
    }

    /// Appends a record; when this returns, it is on the disk. After a failure the file is as it
    /// was before.
    pub fn append(&mut self, payload: &[u8], point: Point<'_>) -> Result<(), LoopError> {
        let written = self.write(payload, point);
        if let Err(error) = written {
            // What is left of the record would be cut off by the next open anyway.
            let _ = self.file.set_len(self.length);
            let full = error.kind() == std::io::ErrorKind::StorageFull;
            let error = LoopError::io(&self.path, &error);
            return Err(if full { error.stopped() } else { error });
        }
        self.length += (HEADER + payload.len()) as u64;
        self.next += 1;
        Ok(())
    }

    fn write(&mut self, payload: &[u8], point: Point<'_>) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(&header(self.next, payload))?;
        point("journal-header");
        let (first, second) = payload.split_at(payload.len() / 2);
        self.file.write_all(first)?;
        point("journal-half");
        self.file.write_all(second)?;
        point("journal-written");
        self.file.sync_data()?;
        point("journal-synced");
        Ok(())
    }
}

fn header(number: u32, payload: &[u8]) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[0..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    out[4..8].copy_from_slice(&number.to_le_bytes());
    out[8..12].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let own = crc32fast::hash(&out[0..12]);
    out[12..16].copy_from_slice(&own.to_le_bytes());
    out
}

/// Reads without changing anything: the records, and the length of the whole ones.
pub fn read(path: &Path) -> Result<(Contents, u64), LoopError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut f| f.read_to_end(&mut bytes))
        .map_err(|e| LoopError::io(path, &e))?;
    if bytes.len() < MAGIC.len() || &bytes[..MAGIC.len()] != MAGIC {
        return Err(LoopError::new(path, "is no journal of a loop"));
    }
    let (mut records, mut at) = (Vec::new(), MAGIC.len());
    while at < bytes.len() {
        let rest = &bytes[at..];
        let damaged = |what: &str| {
            let text = format!(
                "is damaged at byte {at}: {what}. The {} records before it are whole. This is not \
                 what a killed run leaves; restore the file from a copy",
                records.len()
            );
            LoopError::new(path, &text)
        };
        if rest.len() < HEADER {
            break;
        }
        let word = |k: usize| u32::from_le_bytes(rest[4 * k..4 * k + 4].try_into().expect("four"));
        let (length, number, sum) = (word(0) as usize, word(1), word(2));
        if word(3) != crc32fast::hash(&rest[..12]) {
            if rest.iter().all(|b| *b == 0) {
                break;
            }
            return Err(damaged("the header of a record has a wrong checksum"));
        }
        if number as usize != records.len() {
            return Err(damaged(&format!("record {number} stands in place {}", records.len())));
        }
        let Some(payload) = rest.get(HEADER..HEADER + length) else { break };
        if crc32fast::hash(payload) != sum {
            if rest.len() == HEADER + length {
                break;
            }
            return Err(damaged("a record has a wrong checksum"));
        }
        records.push(payload.to_vec());
        at += HEADER + length;
    }
    Ok((Contents { records, torn_bytes: (bytes.len() - at) as u64 }, at as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(path: &Path) -> Vec<Vec<u8>> {
        let mut journal = Journal::create(path).unwrap();
        let records: Vec<Vec<u8>> = (0..5u8).map(|i| vec![i; 10 + 7 * i as usize]).collect();
        records.iter().for_each(|r| journal.append(r, &|_| ()).unwrap());
        records
    }

    #[test]
    fn every_prefix_gives_the_whole_records_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let records = filled(&path);
        let bytes = std::fs::read(&path).unwrap();
        for cut in MAGIC.len()..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let (mut journal, contents) = Journal::open(&path).unwrap();
            let n = contents.records.len();
            assert_eq!(contents.records, records[..n]);
            assert!(n == 5 || cut < bytes.len());
            journal.append(b"more", &|_| ()).unwrap();
            let (again, _) = read(&path).unwrap();
            assert_eq!((again.records.len(), again.torn_bytes), (n + 1, 0));
            assert_eq!(again.records[n], b"more");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let records = filled(&path);
        let bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - HEADER - records[4].len();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            std::fs::write(&path, &changed).unwrap();
            match read(&path) {
                // Only the payload of the last record may be mistaken for one half-written.
                Ok((contents, _)) => {
                    assert!(at >= last + HEADER, "byte {at} went unnoticed");
                    assert_eq!(contents.records, records[..4]);
                }
                Err(e) => assert!(e.to_string().contains("journal"), "{e}"),
            }
        }
        std::fs::write(&path, [&bytes[..], &[0; 40]].concat()).unwrap();
        assert_eq!(read(&path).unwrap().0.torn_bytes, 40);
        assert!(Journal::create(&path).is_err());
    }
}
