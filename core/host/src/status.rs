//! What was found and what was refused: the table behind `marsfm plugins list|check`.

use crate::plugin::{Door, FormatInfo};

/// One file that was considered as a plugin.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PluginStatus {
    /// The file.
    pub path: String,
    /// Why it was refused; `None` if it is loaded.
    pub refused: Option<String>,
    /// Its name, if it is loaded.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// ABI version it was built for, `major.minor`.
    pub abi: Option<String>,
    /// Through which door it was loaded.
    pub door: Option<Door>,
    /// Ids of the services it offers.
    pub services: Vec<String>,
    /// Formats it knows.
    pub formats: Vec<FormatInfo>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
}

impl PluginStatus {
    /// True if the plugin is in use.
    pub fn is_loaded(&self) -> bool {
        self.refused.is_none()
    }
}
