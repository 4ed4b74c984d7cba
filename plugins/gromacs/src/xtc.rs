//! mdrun writes the frame of step 0, which is the start itself: a run's trajectory is its XTC
//! without that frame. Frames are copied as they are.

use marsfm_plugin_api::{Partial, PluginError, file_error};
use std::io::Write;
use std::path::Path;

/// XTC, and the variant of GROMACS 2023 and newer for more than 2^31 bytes a frame.
const MAGICS: [i32; 2] = [1995, 2023];
/// Bytes before the positions: magic, atoms, step, time, box, atoms again.
const HEADER: usize = 56;

/// Copies all frames but the first; how many.
pub fn without_first(from: &Path, to: &Path) -> Result<u64, PluginError> {
    let bytes = std::fs::read(from).map_err(|e| file_error(from, &e))?;
    let (mut at, mut frames, mut first) = (0, 0u64, 0);
    while at < bytes.len() {
        let size = frame_size(&bytes[at..]).ok_or_else(|| {
            let name = from.display();
            PluginError::format(format!("{name}: frame {frames} is damaged or cut short"))
        })?;
        at += size;
        if frames == 0 {
            first = at;
        }
        frames += 1;
    }
    let (partial, mut file) = Partial::create(to)?;
    file.write_all(&bytes[first..]).map_err(|e| partial.error(&e))?;
    partial.finish(&file)?;
    Ok(frames.saturating_sub(1))
}

fn frame_size(bytes: &[u8]) -> Option<usize> {
    let int = |at: usize| -> Option<i32> {
        Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let magic = int(0)?;
    let n = usize::try_from(int(4)?).ok()?;
    if !MAGICS.contains(&magic) || usize::try_from(int(52)?).ok()? != n {
        return None;
    }
    let size = if n <= 9 {
        HEADER + 12 * n
    } else {
        // Precision, least and largest integers, small index; then the length and the bits.
        let at = HEADER + 32;
        let (length, start) = match magic {
            2023 => (i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?), at + 8),
            _ => (i64::from(int(at)?), at + 4),
        };
        start.checked_add(usize::try_from(length).ok()?.checked_next_multiple_of(4)?)?
    };
    (size <= bytes.len()).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: i32, step: i32) -> Vec<u8> {
        let mut out = Vec::new();
        let mut int = |x: i32| out.extend_from_slice(&x.to_be_bytes());
        int(1995);
        int(n);
        int(step);
        (0..10).for_each(|_| int(0));
        int(n);
        if n <= 9 {
            (0..3 * n).for_each(&mut int);
        } else {
            (0..8).for_each(&mut int);
            int(5);
            int(step);
            int(step);
        }
        out
    }

    #[test]
    fn the_first_frame_is_left_out_and_a_cut_file_refused() {
        let folder = crate::child::scratch().unwrap();
        let (from, to) = (folder.path().join("a.xtc"), folder.path().join("b.xtc"));
        for n in [3, 20] {
            let all: Vec<u8> = (0..4).flat_map(|step| frame(n, step)).collect();
            std::fs::write(&from, &all).unwrap();
            assert_eq!(without_first(&from, &to).unwrap(), 3);
            assert_eq!(std::fs::read(&to).unwrap(), all[frame(n, 0).len()..]);
            std::fs::write(&from, &all[..all.len() - 2]).unwrap();
            let error = without_first(&from, &to).unwrap_err();
            assert!(error.message.contains("frame 3"), "{error}");
        }
    }
}
