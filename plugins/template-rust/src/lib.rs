//! A proposer to copy, `twist`: takes frames of a loop's MD and turns the rest of the chain about
//! the CA–C bond (psi) of one residue. `plugins/template-c/proposer.c` is the same in C: both give
//! the same proposals.

use marsfm_plugin_api::{AtomRecord, PluginError, Proposed, ProposerPlugin, Wanted};
use serde::Deserialize;
use std::ffi::CStr;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    max_degrees: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_degrees: 120.0 }
    }
}

/// A bond to turn about, and what turns: the residue's oxygens and all atoms from `rest` on.
struct Bond {
    ca: usize,
    c: usize,
    oxygens: Vec<usize>,
    rest: usize,
}

struct Twist {
    bonds: Vec<Bond>,
    /// Of the chain: solvent stays where it is.
    end: usize,
    max_radians: f64,
}

impl ProposerPlugin for Twist {
    const NAME: &'static CStr = c"twist";

    fn open(atoms: &[AtomRecord], options: &str) -> Result<Self, PluginError> {
        let Options { max_degrees } =
            serde_json::from_str(options).map_err(|e| PluginError::invalid(e.to_string()))?;
        if !(max_degrees > 0.0 && max_degrees <= 180.0) {
            let message = format!("max_degrees is {max_degrees}; give one above 0, up to 180");
            return Err(PluginError::invalid(message));
        }
        let (mut bonds, mut end, mut first) = (Vec::new(), 0, 0);
        let residue = |a: &AtomRecord| (a.residue_number, a.insertion.clone(), a.chain.clone());
        for of_one in atoms.chunk_by(|a, b| residue(a) == residue(b)) {
            let at = |name: &str| Some(first + of_one.iter().position(|a| a.name == name)?);
            let (n, ca, c) = (at("N"), at("CA"), at("C"));
            let oxygens = ["O", "OXT"].iter().filter_map(|name| at(name)).collect();
            first += of_one.len();
            // The chain ends where residues have no N: there solvent begins. A cap in front has
            // none either.
            match n {
                None if end > 0 => break,
                None => {}
                Some(_) => end = first,
            }
            if let (Some(_), Some(ca), Some(c)) = (n, ca, c) {
                bonds.push(Bond { ca, c, oxygens, rest: first });
            }
        }
        if bonds.is_empty() {
            let message = "there is no residue with N, CA and C to turn";
            return Err(PluginError::unsupported(message));
        }
        Ok(Self { bonds, end, max_radians: max_degrees.to_radians() })
    }

    fn propose(&mut self, request: &Wanted<'_>) -> Result<Vec<Proposed>, PluginError> {
        let mut state = request.rng_seed;
        let one = |_| {
            let parent = (next(&mut state) % request.parents_nm.len() as u64) as usize;
            let bond = &self.bonds[(next(&mut state) % self.bonds.len() as u64) as usize];
            let uniform = (next(&mut state) >> 11) as f64 / (1u64 << 53) as f64;
            let angle = (2.0 * uniform - 1.0) * self.max_radians;
            let mut x = request.parents_nm[parent].to_vec();
            let origin = x[bond.ca];
            let axis: [f64; 3] = std::array::from_fn(|k| x[bond.c][k] - origin[k]);
            let length = axis.iter().map(|v| v * v).sum::<f64>().sqrt();
            if length.is_nan() || length <= 0.0 {
                let message = format!("frame {parent}: CA and C at one place");
                return Err(PluginError::invalid(message));
            }
            let axis = axis.map(|v| v / length);
            for i in bond.oxygens.iter().copied().chain(bond.rest..self.end) {
                x[i] = turned(x[i], origin, axis, angle);
            }
            Ok(Proposed { positions_nm: x, parent: Some(parent) })
        };
        (0..request.n).map(one).collect()
    }
}

/// SplitMix64: Steele, Lea and Flood 2014.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A point turned about the axis `u` through `origin` (Rodrigues).
fn turned(x: [f64; 3], origin: [f64; 3], u: [f64; 3], angle: f64) -> [f64; 3] {
    let (sine, cosine) = angle.sin_cos();
    let v: [f64; 3] = std::array::from_fn(|k| x[k] - origin[k]);
    let along: f64 = (0..3).map(|k| u[k] * v[k]).sum();
    let across = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    std::array::from_fn(|k| {
        origin[k] + v[k] * cosine + across[k] * sine + u[k] * along * (1.0 - cosine)
    })
}

marsfm_plugin_api::export_plugin! {
    name: c"twist",
    version: marsfm_plugin_api::package_version!(),
    proposer: Twist,
}
