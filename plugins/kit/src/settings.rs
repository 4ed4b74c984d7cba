//! The options: a JSON object, the template's `settings.json` below it. Unknown keys are refused.

use marsfm_plugin_api::PluginError;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// How to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Folder with the system.
    pub template: Option<PathBuf>,
    /// libOpenMM.so or its folder.
    pub library: Option<String>,
    /// `Reference`, `CPU`, `CUDA`, …; the fastest that works if not given.
    pub platform: Option<String>,
    /// `single`, `mixed`, `double`, where the platform has a choice.
    pub precision: Option<String>,
    /// Threads, where the platform has a choice.
    pub threads: Option<u64>,
    /// Temperature, K.
    pub temperature_kelvin: f64,
    /// Friction, 1/ps.
    pub friction_per_ps: f64,
    /// Step, ps.
    pub step_ps: f64,
    /// Most iterations of the minimisation with the heavy atoms restrained.
    pub restrained_iterations: i32,
    /// Most iterations of the free minimisation after it. It is there to lay down what the
    /// restraints held up, not to walk to the bottom of the basin: frames of MD themselves move
    /// their torsions by tens of degrees on that way.
    pub free_iterations: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            template: None,
            library: None,
            platform: None,
            precision: None,
            threads: None,
            temperature_kelvin: 300.0,
            friction_per_ps: 1.0,
            step_ps: 0.002,
            restrained_iterations: 300,
            free_iterations: 20,
        }
    }
}

impl Settings {
    /// From the caller's options; the template's `settings.json`, if there is one, comes first.
    pub fn read(options: Option<&str>) -> Result<Self, PluginError> {
        let given = object(options.unwrap_or("{}"), "the options")?;
        let mut settings = Self::default();
        if let Some(template) = given.get("template").and_then(Value::as_str) {
            let path = Path::new(template).join("settings.json");
            if path.is_file() {
                let shown = path.display().to_string();
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| PluginError::io(format!("{shown}: {e}")))?;
                settings.take(&object(&text, &shown)?, &shown)?;
            }
        }
        settings.take(&given, "the options")?;
        Ok(settings)
    }

    fn take(&mut self, values: &Map<String, Value>, file: &str) -> Result<(), PluginError> {
        for (key, value) in values {
            let bad = |expected: &str| {
                PluginError::invalid(format!("{file}: `{key}` is {value}; expected {expected}"))
            };
            let text = || value.as_str().map(str::to_owned).ok_or_else(|| bad("a text"));
            let number = |least: f64, most: f64| {
                let number = value.as_f64().filter(|x| (least..=most).contains(x));
                number.ok_or_else(|| bad(&format!("a number from {least} to {most}")))
            };
            match key.as_str() {
                "template" => self.template = Some(text()?.into()),
                "library" => self.library = Some(text()?),
                "platform" => self.platform = Some(text()?),
                "precision" => self.precision = Some(text()?),
                "threads" => self.threads = Some(number(1.0, 4096.0)? as u64),
                "temperature_kelvin" => self.temperature_kelvin = number(1.0, 2000.0)?,
                "friction_per_ps" => self.friction_per_ps = number(1e-3, 1000.0)?,
                "step_ps" => self.step_ps = number(1e-5, 0.01)?,
                "restrained_iterations" => {
                    self.restrained_iterations = number(1.0, 1e6)? as i32;
                }
                "free_iterations" => self.free_iterations = number(1.0, 1e6)? as i32,
                _ => {
                    let known = "template, library, platform, precision, threads, \
                                 temperature_kelvin, friction_per_ps, step_ps, \
                                 restrained_iterations, free_iterations";
                    let message = format!("{file}: unknown key `{key}`; known: {known}");
                    return Err(PluginError::invalid(message));
                }
            }
        }
        Ok(())
    }
}

fn object(text: &str, file: &str) -> Result<Map<String, Value>, PluginError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(PluginError::invalid(format!("{file}: not a JSON object"))),
        Err(e) => Err(PluginError::invalid(format!("{file}: not JSON: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_options_come_over_the_templates() {
        let dir = tempfile::tempdir().unwrap();
        let settings = r#"{"temperature_kelvin": 350, "step_ps": 0.004, "platform": "CPU"}"#;
        std::fs::write(dir.path().join("settings.json"), settings).unwrap();
        let options = serde_json::json!({"template": dir.path(), "platform": "Reference"});
        let read = Settings::read(Some(&options.to_string())).unwrap();
        assert_eq!((read.temperature_kelvin, read.step_ps), (350.0, 0.004));
        assert_eq!(read.platform.as_deref(), Some("Reference"));
        assert_eq!(Settings::read(None).unwrap(), Settings::default());
    }

    #[test]
    fn bad_options_are_named() {
        for (options, word) in [
            (r#"{"temprature": 300}"#, "`temprature`"),
            (r#"{"step_ps": 2}"#, "`step_ps` is 2"),
            (r#"{"step_ps": "2 fs"}"#, "expected a number"),
            (r#"{"platform": 3}"#, "expected a text"),
            ("[]", "not a JSON object"),
            ("{", "not JSON"),
        ] {
            let error = Settings::read(Some(options)).unwrap_err();
            assert!(error.message.contains(word), "{options}: {error}");
        }
    }
}
