//! Arrays in NumPy's .npy format (version 1, little-endian, C order).

use std::path::Path;

use anyhow::{Context, Result, bail};

/// A dense array.
pub struct Array<T> {
    /// Length along each axis.
    pub shape: Vec<usize>,
    /// Numbers, last axis fastest.
    pub data: Vec<T>,
}

/// Element types that are read.
pub trait Element: Sized {
    /// NumPy's name of the type.
    const DESCRIPTION: &'static str;
    /// From little-endian bytes.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! element {
    ($t:ty, $description:literal) => {
        impl Element for $t {
            const DESCRIPTION: &'static str = $description;
            fn read(bytes: &[u8]) -> Vec<Self> {
                let (whole, _) = bytes.as_chunks();
                whole.iter().map(|b| Self::from_le_bytes(*b)).collect()
            }
        }
    };
}
element!(f32, "'<f4'");
element!(f64, "'<f8'");
element!(i32, "'<i4'");
element!(i64, "'<i8'");

/// Reads one file.
pub fn read<T: Element>(path: &Path) -> Result<Array<T>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    parse(&bytes).with_context(|| path.display().to_string())
}

/// The dtype of a file, for instance `'<f4'`.
pub fn dtype(path: &Path) -> Result<String> {
    use std::io::Read;
    let mut head = vec![0; 128];
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    file.read_exact(&mut head)?;
    let text = String::from_utf8_lossy(&head);
    let value = text.split("'descr': ").nth(1).and_then(|t| t.split(',').next());
    Ok(value.context("no dtype in the head of the file")?.to_string())
}

fn parse<T: Element>(bytes: &[u8]) -> Result<Array<T>> {
    if bytes.len() < 10 || &bytes[..6] != b"\x93NUMPY" || bytes[6] != 1 {
        bail!("not a .npy file of version 1");
    }
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let head = std::str::from_utf8(bytes.get(10..end).context("cut off")?)?;
    if !head.contains(T::DESCRIPTION) || !head.contains("'fortran_order': False") {
        bail!("expected {} in C order, found {head}", T::DESCRIPTION);
    }
    let inside = head.split('(').nth(1).and_then(|t| t.split(')').next()).context("no shape")?;
    let axes = inside.split(',').map(str::trim).filter(|t| !t.is_empty());
    let shape: Vec<usize> = axes.map(str::parse).collect::<Result<_, _>>()?;
    let data = T::read(&bytes[end..]);
    if data.len() != shape.iter().product::<usize>() {
        bail!("{} numbers for the shape {shape:?}", data.len());
    }
    Ok(Array { shape, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_types_are_read_and_checked() {
        let head = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((head.len() as u16).to_le_bytes());
        bytes.extend(head.as_bytes());
        (0..6).for_each(|i| bytes.extend((i as f32).to_le_bytes()));
        let array = parse::<f32>(&bytes).unwrap();
        assert_eq!((array.shape, array.data), (vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert!(parse::<f64>(&bytes).is_err());
        assert!(parse::<f32>(&bytes[..bytes.len() - 1]).is_err());
    }
}
