//! How seeds are prepared and what runs are called, the same with every engine.

use marsfm_plugin_api::PluginError;
use marsfm_plugin_api::engine_abi::MARSFM_PLUGIN_DIVERGED;

/// Strength of the restraints on heavy atoms, kJ/mol/nm².
pub const RESTRAINT: f64 = 10_000.0;
/// Rms force at which a minimisation ends, kJ/mol/nm.
pub const TOLERANCE: f64 = 10.0;
/// Length of the first stretch of MD, ps.
pub const STRONG_PS: f64 = 2.0;
/// Its friction, 1/ps.
pub const STRONG_FRICTION: f64 = 20.0;
/// File of a run in its folder.
pub const TRAJECTORY: &str = "md.xtc";

/// The seed is lost, and only the seed.
pub fn diverged(message: String) -> PluginError {
    PluginError { status: MARSFM_PLUGIN_DIVERGED, message }
}
