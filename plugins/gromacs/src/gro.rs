//! GRO files: names, positions, box. Read with any number of decimals, written with nine.

use marsfm_plugin_api::{PluginError, file_error, write_whole};
use std::fmt::Write;
use std::path::Path;

/// A structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Gro {
    /// Atom names.
    pub names: Vec<String>,
    /// Positions, nm.
    pub positions_nm: Vec<[f64; 3]>,
    /// Box vectors as rows, nm.
    pub cell_nm: [[f64; 3]; 3],
}

/// Reads the first structure of a file.
pub fn read(path: &Path) -> Result<Gro, PluginError> {
    let text = std::fs::read_to_string(path).map_err(|e| file_error(path, &e))?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, file: &str) -> Result<Gro, PluginError> {
    let bad = |line: usize, what: &str| PluginError::format(format!("{file}, line {line}: {what}"));
    let mut lines = text.lines().skip(1);
    let count = lines.next().and_then(|l| l.trim().parse::<usize>().ok());
    let n = count.ok_or_else(|| bad(2, "expected the number of atoms"))?;
    let (mut names, mut positions_nm) = (Vec::new(), Vec::new());
    for number in 3..n + 3 {
        let line = lines.next().ok_or_else(|| bad(number, "the file ends before its last atom"))?;
        let (Some(name), Some(rest)) = (line.get(10..15), line.get(20..)) else {
            return Err(bad(number, "expected residue, atom, number and position"));
        };
        // The distance of the decimal points is the width of a column.
        let points: Vec<usize> = rest.match_indices('.').map(|(at, _)| at).collect();
        let width = points.get(1).zip(points.first()).map_or(0, |(b, a)| b - a);
        let column = |k: usize| -> Option<f64> {
            let end = (width * (k + 1)).min(rest.len());
            rest.get(width * k..end)?.trim().parse().ok()
        };
        match (width > 0, column(0), column(1), column(2)) {
            (true, Some(x), Some(y), Some(z)) => positions_nm.push([x, y, z]),
            _ => return Err(bad(number, "the position is not three numbers")),
        }
        names.push(name.trim().to_owned());
    }
    let words: Vec<f64> = lines
        .next()
        .into_iter()
        .flat_map(str::split_whitespace)
        .map_while(|w| w.parse().ok())
        .collect();
    let cell_nm = match words[..] {
        [x, y, z] => [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, z]],
        [xx, yy, zz, xy, xz, yx, yz, zx, zy] => [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]],
        _ => return Err(bad(n + 3, "expected the box: 3 or 9 numbers")),
    };
    Ok(Gro { names, positions_nm, cell_nm })
}

/// Writes a structure with the names of a template, for position restraints (`grompp -r`).
pub fn write(
    path: &Path,
    names: &[String],
    positions_nm: &[[f64; 3]],
    cell: &[[f64; 3]; 3],
) -> Result<(), PluginError> {
    let mut text = format!("restraint positions\n{}\n", names.len());
    for (i, (name, p)) in names.iter().zip(positions_nm).enumerate() {
        let number = (i + 1) % 100_000;
        let _ = writeln!(
            text,
            "{:5}{:<5}{name:>5}{number:5}{:16.9}{:16.9}{:16.9}",
            1, "X", p[0], p[1], p[2]
        );
    }
    let c = cell;
    let order = [c[0][0], c[1][1], c[2][2], c[0][1], c[0][2], c[1][0], c[1][2], c[2][0], c[2][1]];
    for x in order {
        let _ = write!(text, " {x:.9}");
    }
    text.push('\n');
    write_whole(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_decimals_is_read_and_nine_are_written() {
        let text = "t\n 2\n    1GLN      N    1   1.563   2.264  -1.713\n\
                    \x20   1GLN     H1    2   1.606   2.354   1.725  0.1234  0.2345  0.3456\n   4.0 4.0 5.0\n";
        let gro = parse(text, "t.gro").unwrap();
        assert_eq!(gro.names, ["N", "H1"]);
        assert_eq!(gro.positions_nm, [[1.563, 2.264, -1.713], [1.606, 2.354, 1.725]]);
        assert_eq!(gro.cell_nm[2], [0.0, 0.0, 5.0]);
        let folder = crate::child::scratch().unwrap();
        let path = folder.path().join("t.gro");
        let cell = [[4.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.5, -0.5, 4.0]];
        let exact = [[0.123_456_789, -12.0, 3.0], [1.0, 2.0, 3.5]];
        write(&path, &gro.names, &exact, &cell).unwrap();
        let back = read(&path).unwrap();
        assert_eq!((back.names, back.cell_nm), (gro.names, cell));
        assert_eq!(back.positions_nm, exact);
    }

    #[test]
    fn damage_is_named_by_line() {
        for (text, words) in [
            ("t\nx\n", "line 2"),
            ("t\n 1\n", "line 3"),
            ("t\n 1\n    1GLN      N    1   1.563   2.264\n 4 4 4\n", "three numbers"),
            ("t\n 1\n    1GLN      N    1   1.563   2.264  -1.713\n", "the box"),
        ] {
            assert!(parse(text, "t").unwrap_err().message.contains(words), "{text}");
        }
    }
}
