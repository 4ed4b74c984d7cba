//! Checkpoints: one safetensors file with MDGen's parameter names and, in its metadata under
//! `marsfm`, the model card as JSON. The header is checked before anything is allocated; a pickle
//! or any other file is refused by name.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorView};
use sha2::{Digest, Sha256};

use crate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE};
use crate::params::{self, Values};
use crate::{NetworkConfig, SurrogateError};

/// Metadata key of the model card.
const CARD: &str = "marsfm";
/// No header of ours comes near this size.
const LARGEST_HEADER: u64 = 16 << 20;

/// How weights are stored; they are widened to f32 when read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Exactly as trained.
    F32,
    /// Half the size; relative rounding 5e-4.
    F16,
}

/// A checkpoint in memory.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The model card.
    pub card: ModelCard,
    /// Parameters, widened to f32.
    pub values: Values,
    /// SHA-256 of the file, hexadecimal: what results are traced to.
    pub sha256: String,
}

/// The bytes of a checkpoint file.
pub fn encode(
    card: &ModelCard,
    values: &Values,
    storage: Storage,
) -> Result<Vec<u8>, SurrogateError> {
    let bytes: BTreeMap<&String, Vec<u8>> = values
        .iter()
        .map(|(name, (_, data))| {
            let bytes = match storage {
                Storage::F32 => data.iter().flat_map(|v| v.to_le_bytes()).collect(),
                Storage::F16 => {
                    data.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect()
                }
            };
            (name, bytes)
        })
        .collect();
    let dtype = match storage {
        Storage::F32 => Dtype::F32,
        Storage::F16 => Dtype::F16,
    };
    let failed = |e: &dyn std::fmt::Display| SurrogateError::Config(format!("cannot store: {e}"));
    let views: Vec<(&String, TensorView)> = values
        .iter()
        .map(|(name, (shape, _))| {
            TensorView::new(dtype, shape.clone(), &bytes[name]).map(|v| (name, v))
        })
        .collect::<Result<_, _>>()
        .map_err(|e| failed(&e))?;
    let card = serde_json::to_string(card).map_err(|e| failed(&e))?;
    let metadata = HashMap::from([(CARD.to_string(), card)]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| failed(&e))
}

/// The bytes of a network that was trained on nothing: for a backend that is told its parameters
/// later, and for checks of the network itself.
pub fn untrained(network: &NetworkConfig, values: &Values) -> Result<Vec<u8>, SurrogateError> {
    let domain = Domain {
        lag_ps: 0.0,
        temperature_kelvin: 0.0,
        temperatures_kelvin: Vec::new(),
        force_field: "none".into(),
        solvent: "none".into(),
        termini: "mixed".into(),
        residues: (1, 1),
        residue_counts: BTreeMap::new(),
    };
    let card = ModelCard {
        format: FORMAT,
        residue_table: RESIDUE_TABLE.into(),
        network: network.clone(),
        domain,
        training: None,
        notes: vec!["Trained on nothing.".into()],
    };
    encode(&card, values, Storage::F32)
}

/// Reads only the model card.
pub fn read_card(path: &Path) -> Result<ModelCard, SurrogateError> {
    Ok(open(path)?.card)
}

/// Reads and checks a whole checkpoint.
pub fn load(path: &Path) -> Result<Checkpoint, SurrogateError> {
    Ok(read(open(path)?, path)?.0)
}

/// The same, and the bytes of the file: what a backend elsewhere is given.
pub fn load_bytes(path: &Path) -> Result<(Checkpoint, Vec<u8>), SurrogateError> {
    read(open(path)?, path)
}

/// Checks a whole checkpoint in memory; `name` is for messages.
pub fn parse(bytes: &[u8], name: &Path) -> Result<Checkpoint, SurrogateError> {
    let size = bytes.len() as u64;
    Ok(read(header_of(std::io::Cursor::new(bytes), size, name)?, name)?.0)
}

fn read<F: Read + Seek>(
    opened: Opened<F>,
    path: &Path,
) -> Result<(Checkpoint, Vec<u8>), SurrogateError> {
    let fail = |message: String| refuse(path, message);
    let Opened { mut file, card, header, data_start } = opened;
    let expected = params::shapes(&card.network);
    for (name, info) in header.tensors() {
        if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(fail(format!("parameter {name} is stored as {:?}", info.dtype)));
        }
        match expected.get(&name) {
            None => return Err(fail(format!("parameter {name} does not belong to this network"))),
            Some(shape) if *shape != info.shape => {
                return Err(fail(format!(
                    "parameter {name} has shape {:?}, expected {shape:?}",
                    info.shape
                )));
            }
            Some(_) => {}
        }
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(|e| fail(e.to_string()))?;
    file.read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    let data = &bytes[data_start as usize..];
    let mut values = Values::new();
    for (name, info) in header.tensors() {
        let (from, to) = info.data_offsets;
        let raw =
            data.get(from..to).ok_or_else(|| fail(format!("cut short in parameter {name}")))?;
        values.insert(name, (info.shape.clone(), widen(info.dtype, raw)));
    }
    params::check(&card.network, &values).map_err(fail)?;
    let sha256 = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    Ok((Checkpoint { card, values, sha256 }, bytes))
}

fn widen(dtype: Dtype, raw: &[u8]) -> Vec<f32> {
    let two = |c: &[u8]| [c[0], c[1]];
    match dtype {
        Dtype::F16 => {
            raw.chunks_exact(2).map(|c| half::f16::from_le_bytes(two(c)).to_f32()).collect()
        }
        Dtype::BF16 => {
            raw.chunks_exact(2).map(|c| half::bf16::from_le_bytes(two(c)).to_f32()).collect()
        }
        _ => raw.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect(),
    }
}

struct Opened<F> {
    file: F,
    card: ModelCard,
    header: Metadata,
    data_start: u64,
}

fn refuse(path: &Path, message: String) -> SurrogateError {
    SurrogateError::Checkpoint { file: path.display().to_string(), message }
}

fn open(path: &Path) -> Result<Opened<File>, SurrogateError> {
    let file = File::open(path).map_err(|e| refuse(path, format!("cannot open: {e}")))?;
    let size = file.metadata().map_err(|e| refuse(path, e.to_string()))?.len();
    header_of(file, size, path)
}

/// Reads and checks the header: a safetensors file, of this project, of a format and residue table
/// that this build knows, as long as it says it is.
fn header_of<F: Read + Seek>(
    mut file: F,
    size: u64,
    path: &Path,
) -> Result<Opened<F>, SurrogateError> {
    let fail = |message: String| refuse(path, message);
    let not_ours = |why: &str| {
        fail(format!(
            "is no marsfm checkpoint ({why}); expected a .safetensors file written by `marsfm train`, \
             or converted from a published checkpoint"
        ))
    };
    let mut first = [0u8; 8];
    file.read_exact(&mut first).map_err(|_| not_ours("shorter than 8 bytes"))?;
    let length = u64::from_le_bytes(first);
    if length > LARGEST_HEADER || length + 8 > size {
        // A length that makes sense may begin like a pickle does.
        let pickle = first.starts_with(b"PK") || first[0] == 0x80;
        return Err(not_ours(match pickle {
            true => "a PyTorch pickle, which is never opened here",
            false => "its header length makes no sense",
        }));
    }
    let mut text = vec![0u8; length as usize];
    file.read_exact(&mut text).map_err(|e| fail(e.to_string()))?;
    let header: Metadata =
        serde_json::from_slice(&text).map_err(|e| not_ours(&format!("header: {e}")))?;
    let card = header.metadata().as_ref().and_then(|m| m.get(CARD));
    let card = card.ok_or_else(|| not_ours("a safetensors file without a model card"))?;
    let format: serde_json::Value =
        serde_json::from_str(card).map_err(|e| not_ours(&format!("model card: {e}")))?;
    if format["format"] != FORMAT {
        return Err(fail(format!(
            "has checkpoint format {}, this build reads format {FORMAT}; use a matching marsfm",
            format["format"]
        )));
    }
    let card: ModelCard =
        serde_json::from_str(card).map_err(|e| not_ours(&format!("model card: {e}")))?;
    if card.residue_table != RESIDUE_TABLE {
        return Err(fail(format!(
            "uses the residue table {}, this build has {RESIDUE_TABLE}",
            card.residue_table
        )));
    }
    card.network.check().map_err(|e| fail(e.to_string()))?;
    let data: u64 = header.tensors().values().map(|i| i.data_offsets.1 as u64).max().unwrap_or(0);
    if 8 + length + data != size {
        return Err(fail(format!("is {size} bytes long, its header says {}", 8 + length + data)));
    }
    Ok(Opened { file, card, header, data_start: 8 + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> (ModelCard, Values) {
        let network =
            NetworkConfig { embed_dim: 16, num_layers: 1, mha_heads: 2, ..NetworkConfig::full() };
        let values = params::initial(&network, 7);
        let domain = Domain {
            lag_ps: 10.0,
            temperature_kelvin: 350.0,
            temperatures_kelvin: Vec::new(),
            force_field: "none".into(),
            solvent: "none".into(),
            termini: "charged".into(),
            residues: (4, 4),
            residue_counts: BTreeMap::new(),
        };
        let card = ModelCard {
            format: FORMAT,
            residue_table: RESIDUE_TABLE.into(),
            network,
            domain,
            training: None,
            notes: vec![],
        };
        (card, values)
    }

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn a_checkpoint_reads_back_bit_equal() {
        let (card, values) = small();
        let file = written(&encode(&card, &values, Storage::F32).unwrap());
        let back = load(file.path()).unwrap();
        assert_eq!(back.card, card);
        assert_eq!(back.values, values);
        let half = load(written(&encode(&card, &values, Storage::F16).unwrap()).path()).unwrap();
        let (a, b) = (&half.values["latent_to_emb.weight"].1, &values["latent_to_emb.weight"].1);
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-3 * b.abs() + 1e-7));
    }

    #[test]
    fn a_header_may_be_as_long_as_a_pickle_begins() {
        let (mut card, values) = small();
        let all = (0..64).map(|n| {
            card.notes = vec!["x".repeat(8 * n)];
            encode(&card, &values, Storage::F32).unwrap()
        });
        let bytes = all.into_iter().find(|bytes| bytes[0] == 0x80).unwrap();
        assert!(load(written(&bytes).path()).is_ok());
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        let (card, values) = small();
        let good = encode(&card, &values, Storage::F32).unwrap();
        let mut nan = values.clone();
        nan.get_mut("latent_to_emb.bias").unwrap().1[3] = f32::NAN;
        let mut missing = values.clone();
        missing.remove("layers.0.fc1.weight");
        let mut extra = values.clone();
        extra.insert("surprise".into(), (vec![1], vec![0.0]));
        let other = ModelCard { format: 99, ..card.clone() };
        let mut huge = good.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        // A header whose numbers are elsewhere than its shapes say.
        let length = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
        let mut header: serde_json::Value = serde_json::from_slice(&good[8..8 + length]).unwrap();
        let end = header["latent_to_emb.bias"]["data_offsets"][1].as_u64().unwrap();
        header["latent_to_emb.bias"]["data_offsets"][1] = (end - 4).into();
        let text = serde_json::to_vec(&header).unwrap();
        let mut shifted = (text.len() as u64).to_le_bytes().to_vec();
        shifted.extend(&text);
        shifted.extend(&good[8 + length..]);
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (shifted, "invalid shape, data type, or offset"),
            (b"PK\x03\x04 a zip archive".to_vec(), "pickle"),
            (b"short".to_vec(), "no marsfm checkpoint"),
            (b"not a checkpoint at all, only text".to_vec(), "header length"),
            (huge, "header length"),
            (good[..good.len() - 10].to_vec(), "bytes long"),
            (encode(&card, &nan, Storage::F32).unwrap(), "element 3 is NaN"),
            (encode(&card, &missing, Storage::F32).unwrap(), "fc1.weight is missing"),
            (encode(&card, &extra, Storage::F32).unwrap(), "surprise does not belong"),
            (encode(&other, &values, Storage::F32).unwrap(), "format 99"),
        ];
        for (bytes, expected) in cases {
            let message = load(written(&bytes).path()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
    }
}
