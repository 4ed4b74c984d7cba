//! Devices by name: which one a caller asks for, and what this machine has.

use marsfm_surrogate::Precision;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Where a surrogate shall compute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// In this process, on the CPU.
    #[default]
    Cpu,
    /// On the first CUDA device if one can be used, else in this process.
    Auto,
    /// On a device of the backend of this name.
    Backend {
        /// Kind of device (`cuda`).
        name: String,
        /// Which of them, from 0.
        index: u32,
        /// How it multiplies.
        precision: Precision,
    },
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, precision) = text.split_once('/').unwrap_or((text, ""));
        let (name, index) = place.split_once(':').unwrap_or((place, "0"));
        let fail = |why: &str| {
            format!(
                "device `{text}`: {why}; possible are cpu, cuda, cuda:1 (the second), cuda/bf16 \
                 (matrix products in bfloat16), auto"
            )
        };
        let precision = match precision {
            "" if text.ends_with('/') => return Err(fail("what follows the slash is missing")),
            "" | "f32" => Precision::F32,
            "bf16" => Precision::Bf16,
            _ => return Err(fail("what follows the slash is neither f32 nor bf16")),
        };
        let index = index.parse().map_err(|_| fail("what follows the colon is no number"))?;
        match name {
            "cpu" | "auto" if place.contains(':') => Err(fail("there is only one")),
            "cpu" | "auto" if precision != Precision::F32 => {
                Err(fail("only a backend's device multiplies in bf16"))
            }
            "cpu" => Ok(Self::Cpu),
            "auto" => Ok(Self::Auto),
            "" => Err(fail("has no name")),
            name => Ok(Self::Backend { name: name.to_owned(), index, precision }),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Auto => f.write_str("auto"),
            Self::Backend { name, index, precision } => {
                f.write_str(name)?;
                if *index > 0 {
                    write!(f, ":{index}")?;
                }
                match precision {
                    Precision::F32 => Ok(()),
                    Precision::Bf16 => f.write_str("/bf16"),
                }
            }
        }
    }
}

/// What this machine has to compute on.
#[derive(Clone, Debug, Serialize)]
pub struct Devices {
    /// Threads of this process's own computations.
    pub cpu_threads: usize,
    /// NVIDIA's driver, if there is one with a card.
    pub cuda_driver: Option<String>,
    /// Whether `cuda` can be asked for.
    pub cuda_usable: bool,
    /// The device that `cuda` means, or why there is none.
    pub cuda: String,
    /// What each loaded backend says.
    pub backends: Vec<BackendReport>,
}

/// What a backend plugin says about itself.
#[derive(Clone, Debug, Serialize)]
pub struct BackendReport {
    /// Kind of device.
    pub name: String,
    /// The plugin's file.
    pub path: String,
    /// Names of its devices, in the order of their index.
    pub devices: Vec<String>,
    /// Why there is none, or not every one.
    pub failures: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_people_name_them() {
        for name in ["cpu", "auto", "cuda", "cuda:1", "cuda/bf16", "cuda:1/bf16"] {
            assert_eq!(name.parse::<Device>().unwrap().to_string(), name);
        }
        assert_eq!("cuda:0".parse::<Device>().unwrap().to_string(), "cuda");
        assert_eq!("cuda/f32".parse::<Device>().unwrap().to_string(), "cuda");
        for bad in [
            "",
            "cpu:1",
            "cuda:x",
            "auto:2",
            "cuda:-1",
            "cpu/bf16",
            "auto/bf16",
            "cuda/",
            "cuda/f16",
        ] {
            let error = bad.parse::<Device>().unwrap_err();
            assert!(error.contains("possible are cpu"), "{error}");
        }
    }
}
