//! The options: a JSON object, the template's `settings.json` below it. Unknown keys are refused.

use marsfm_plugin_api::{PluginError, file_error};
use serde::Deserialize;
use std::path::PathBuf;

/// How to run; what is not given is GROMACS's, the template's or a default of this plugin.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Folder with the system.
    pub template: Option<PathBuf>,
    /// `gmx`, a name or a path.
    pub program: Option<String>,
    /// How MPI programs are started, without the number of ranks, which `-n` says: `mpirun` if not
    /// given. Only for seeds that run together.
    pub launcher: Option<String>,
    /// The `gmx_mpi` for that, of the same version as `program`: a name or a path.
    pub mpi_program: Option<String>,
    /// OpenMP threads of an mdrun: 1 below 5000 atoms, else one per core.
    pub threads: Option<u32>,
    /// Temperature, K: instead of `ref-t` of every group.
    pub temperature_kelvin: Option<f64>,
    /// Friction, 1/ps: instead of `tau-t` of every group; production then runs with `sd`.
    pub friction_per_ps: Option<f64>,
    /// Step, ps: instead of `dt`.
    pub step_ps: Option<f64>,
    /// MD of the solvent around the restrained solute, ps; 100 if not given.
    pub equilibrate_ps: Option<f64>,
    /// Keep the working folders.
    pub keep_files: Option<bool>,
}

impl Settings {
    /// From the caller's options; the template's `settings.json`, if there is one, comes first.
    pub fn read(options: Option<&str>) -> Result<Self, PluginError> {
        let given = parse(options.unwrap_or("{}"), "the options")?;
        let file = given.template.as_ref().map(|t| t.join("settings.json"));
        let Some(file) = file.filter(|f| f.is_file()) else { return given.checked() };
        let text = std::fs::read_to_string(&file).map_err(|e| file_error(&file, &e))?;
        let below = parse(&text, &file.display().to_string())?;
        Self {
            template: given.template,
            program: given.program.or(below.program),
            launcher: given.launcher.or(below.launcher),
            mpi_program: given.mpi_program.or(below.mpi_program),
            threads: given.threads.or(below.threads),
            temperature_kelvin: given.temperature_kelvin.or(below.temperature_kelvin),
            friction_per_ps: given.friction_per_ps.or(below.friction_per_ps),
            step_ps: given.step_ps.or(below.step_ps),
            equilibrate_ps: given.equilibrate_ps.or(below.equilibrate_ps),
            keep_files: given.keep_files.or(below.keep_files),
        }
        .checked()
    }

    fn checked(self) -> Result<Self, PluginError> {
        let limits = [
            ("temperature_kelvin", self.temperature_kelvin, 1.0, 2000.0),
            ("friction_per_ps", self.friction_per_ps, 1e-3, 1000.0),
            ("step_ps", self.step_ps, 1e-5, 0.01),
            ("equilibrate_ps", self.equilibrate_ps, 0.0, 1e6),
            ("threads", self.threads.map(f64::from), 1.0, 4096.0),
        ];
        for (key, value, least, most) in limits {
            if value.is_some_and(|v| !(least..=most).contains(&v)) {
                let value = value.unwrap_or_default();
                let message = format!("`{key}` is {value}; expected {least} to {most}");
                return Err(PluginError::invalid(message));
            }
        }
        Ok(self)
    }
}

fn parse(text: &str, file: &str) -> Result<Settings, PluginError> {
    serde_json::from_str(text).map_err(|e| PluginError::invalid(format!("{file}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_options_come_over_the_templates() {
        let folder = crate::child::scratch().unwrap();
        let file = r#"{"temperature_kelvin": 350, "threads": 2}"#;
        std::fs::write(folder.path().join("settings.json"), file).unwrap();
        let options = serde_json::json!({"template": folder.path(), "threads": 1});
        let read = Settings::read(Some(&options.to_string())).unwrap();
        assert_eq!((read.temperature_kelvin, read.threads), (Some(350.0), Some(1)));
        for (options, word) in [
            (r#"{"temprature": 300}"#, "temprature"),
            (r#"{"step_ps": 2}"#, "`step_ps` is 2"),
            (r#"{"program": 3}"#, "expected a string"),
            ("{", "EOF"),
        ] {
            let error = Settings::read(Some(options)).unwrap_err();
            assert!(error.message.contains(word), "{options}: {error}");
        }
    }
}
