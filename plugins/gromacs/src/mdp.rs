//! Run parameters: the template's `md.mdp`, and what each stage changes in it.

use marsfm_plugin_api::{PluginError, file_error, write_whole};
use std::collections::BTreeMap;
use std::path::Path;

/// Parameters by name, names as GROMACS compares them: lower case, `-` for `_`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mdp(BTreeMap<String, String>);

fn key(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('_', "-")
}

impl Mdp {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, PluginError> {
        let text = std::fs::read_to_string(path).map_err(|e| file_error(path, &e))?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, file: &str) -> Result<Self, PluginError> {
        let mut all = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split(';').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                let message = format!("{file}, line {}: expected NAME = VALUE", number + 1);
                return Err(PluginError::format(message));
            };
            all.insert(key(name), value.trim().to_owned());
        }
        Ok(Self(all))
    }

    /// A value, empty if it is not set.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A number, or the default where nothing is set.
    pub fn number(&self, name: &str, default: f64) -> Result<f64, PluginError> {
        match self.get(name) {
            "" => Ok(default),
            text => text.parse().map_err(|_| {
                PluginError::format(format!("md.mdp: {name} = {text} is not a number"))
            }),
        }
    }

    /// The words of a value.
    pub fn words(&self, name: &str) -> Vec<&str> {
        self.get(name).split_whitespace().collect()
    }

    /// With other values; an empty one removes the parameter.
    pub fn with<const N: usize>(&self, changes: [(&str, String); N]) -> Self {
        let mut all = self.0.clone();
        for (name, value) in changes {
            match value.is_empty() {
                true => all.remove(name),
                false => all.insert(name.into(), value),
            };
        }
        Self(all)
    }

    /// With a preprocessor word more.
    pub fn defining(&self, word: &str) -> Self {
        let mut words = self.words("define");
        if !words.contains(&word) {
            words.push(word);
        }
        self.with([("define", words.join(" "))])
    }

    /// Nothing but energies is written, and only every `steps` steps.
    pub fn quiet(&self, steps: u64) -> Self {
        let steps = steps.to_string();
        self.with([
            ("nstxout", "0".into()),
            ("nstvout", "0".into()),
            ("nstfout", "0".into()),
            ("nstxout-compressed", "0".into()),
            ("compressed-x-grps", String::new()),
            ("nstlog", steps.clone()),
            ("nstenergy", steps),
        ])
    }

    /// Writes a file.
    pub fn write(&self, path: &Path) -> Result<(), PluginError> {
        let lines: String =
            self.0.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        write_whole(path, lines.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_gromacs_does() {
        let mdp = Mdp::parse("; c\ntau_t = 1.0 2.0 ; two\n DT=0.002\ndefine =\n", "f").unwrap();
        assert_eq!(mdp.words("tau-t"), ["1.0", "2.0"]);
        assert_eq!(mdp.number("dt", 0.001).unwrap(), 0.002);
        assert_eq!(mdp.number("ref-t", 300.0).unwrap(), 300.0);
        assert!(mdp.number("tau-t", 0.0).is_err());
        assert!(Mdp::parse("dt 0.002", "f").unwrap_err().message.contains("line 1"));
        let mdp = mdp.defining("-DPOSRES").defining("-DPOSRES");
        assert_eq!(mdp.get("define"), "-DPOSRES");
        let less = mdp.with([("dt", String::new()), ("nsteps", "5".into())]);
        assert_eq!((less.get("dt"), less.get("nsteps")), ("", "5"));
    }
}
