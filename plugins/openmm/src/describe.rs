//! What is here: for `marsfm engine doctor`.

use crate::find;
use crate::guard::{Dynamics, Library, NEWEST, Simulation};
use marsfm_plugin_api::PluginError;
use marsfm_plugin_kit::settings::Settings;
use serde_json::{Value, json};

/// Two particles on a spring: enough to see whether a platform works.
const SPRING: &str = r#"<?xml version="1.0" ?>
<System openmmVersion="8.1" type="System" version="1">
<PeriodicBoxVectors><A x="2" y="0" z="0"/><B x="0" y="2" z="0"/><C x="0" y="0" z="2"/></PeriodicBoxVectors>
<Particles><Particle mass="12"/><Particle mass="12"/></Particles>
<Constraints/>
<Forces><Force forceGroup="0" name="HarmonicBondForce" type="HarmonicBondForce" usesPeriodic="0" version="2">
<Bonds><Bond d=".1" k="100000" p1="0" p2="1"/></Bonds></Force></Forces>
</System>"#;

/// The JSON object of the contract.
pub fn describe(options: Option<&str>) -> Result<String, PluginError> {
    let settings = Settings::read(options)?;
    let loaded = find::library(settings.library.as_deref()).and_then(|path| Library::load(&path));
    let answer = match loaded {
        Ok(library) => of(&library),
        Err(e) => json!({
            "engine": "OpenMM",
            "version": Value::Null,
            "usable": false,
            "location": Value::Null,
            "platforms": [],
            "failures": [e.message],
            "advice": [find::ADVICE],
        }),
    };
    Ok(answer.to_string())
}

fn of(library: &Library) -> Value {
    let mut usable = false;
    let platforms: Vec<Value> = library
        .platforms
        .iter()
        .map(|platform| {
            let tried = ten_steps(platform);
            usable |= tried.is_ok();
            let mut entry = json!({
                "name": platform.name,
                "usable": tried.is_ok(),
                "speed": platform.speed,
                "properties": platform.properties,
            });
            if let Err(e) = tried {
                entry["why"] = e.message.into();
            }
            entry
        })
        .collect();
    let mut advice = Vec::new();
    if library.is_untried() {
        let (major, minor) = NEWEST;
        advice.push(format!(
            "this OpenMM is newer than {major}.{minor}, the newest that was tried; it should work"
        ));
    }
    if !library.failures.is_empty() {
        advice.push(
            "plugins of OpenMM that did not load matter only if a platform or force you need is \
             missing"
                .to_owned(),
        );
    }
    json!({
        "engine": "OpenMM",
        "version": library.version,
        "usable": usable,
        "location": library.path.display().to_string(),
        "platforms": platforms,
        "failures": library.failures,
        "advice": advice,
    })
}

/// Ten steps of two particles.
fn ten_steps(platform: &crate::guard::Platform) -> Result<(), PluginError> {
    let mut simulation = Simulation::new(SPRING)?;
    let dynamics =
        Dynamics { temperature_kelvin: 300.0, friction_per_ps: 1.0, step_ps: 0.001, rng_seed: 1 };
    simulation.start(platform, dynamics)?;
    simulation.set_positions(&[[0.0; 3], [0.11, 0.0, 0.0]], None)?;
    simulation.velocities(300.0, 1)?;
    simulation.step(10)?;
    let (potential, kinetic) = simulation.energies()?;
    match potential.is_finite() && kinetic > 0.0 {
        true => Ok(()),
        false => Err(PluginError::invalid("ten steps gave no sensible energy")),
    }
}
