//! The C++ guard as safe Rust: what OpenMM throws arrives as a [`PluginError`].
#![allow(unsafe_code)] // calls cpp/guard.cpp

use marsfm_plugin_api::PluginError;
use marsfm_plugin_api::engine_abi::*;
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Mutex;

/// A system with an integrator and a context, opaque.
#[repr(C)]
struct Raw {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn marsfm_omm_error(buffer: *mut c_char, capacity: usize) -> usize;
    fn marsfm_omm_load(path: *const c_char) -> c_int;
    fn marsfm_omm_version(buffer: *mut c_char, capacity: usize) -> c_int;
    fn marsfm_omm_load_plugins(
        folder: *const c_char,
        failures: *mut c_char,
        capacity: usize,
    ) -> c_int;
    fn marsfm_omm_platforms(count: *mut c_int) -> c_int;
    fn marsfm_omm_platform(
        index: c_int,
        buffer: *mut c_char,
        capacity: usize,
        speed: *mut f64,
    ) -> c_int;
    fn marsfm_omm_set_property(platform: c_int, name: *const c_char, value: *const c_char)
    -> c_int;
    fn marsfm_omm_system(xml: *const c_char, out: *mut *mut Raw) -> c_int;
    fn marsfm_omm_add_restraint(s: *mut Raw, atoms: *const c_int, n_atoms: usize) -> c_int;
    fn marsfm_omm_restrain(
        s: *mut Raw,
        atoms: *const c_int,
        n_atoms: usize,
        xyz: *const f64,
    ) -> c_int;
    fn marsfm_omm_restraint_strength(s: *mut Raw, k: f64) -> c_int;
    fn marsfm_omm_context(
        s: *mut Raw,
        platform: c_int,
        kelvin: f64,
        friction: f64,
        step: f64,
        rng_seed: c_int,
    ) -> c_int;
    fn marsfm_omm_free(s: *mut Raw);
    fn marsfm_omm_counts(
        s: *mut Raw,
        particles: *mut c_int,
        constraints: *mut c_int,
        periodic: *mut c_int,
    ) -> c_int;
    fn marsfm_omm_particle(
        s: *mut Raw,
        index: c_int,
        mass: *mut f64,
        is_virtual: *mut c_int,
    ) -> c_int;
    fn marsfm_omm_constraint(
        s: *mut Raw,
        index: c_int,
        first: *mut c_int,
        second: *mut c_int,
    ) -> c_int;
    fn marsfm_omm_default_cell(s: *mut Raw, cell: *mut f64) -> c_int;
    fn marsfm_omm_set_positions(
        s: *mut Raw,
        xyz: *const f64,
        n_atoms: usize,
        cell: *const f64,
    ) -> c_int;
    fn marsfm_omm_constrain(s: *mut Raw, tolerance: f64) -> c_int;
    fn marsfm_omm_minimise(s: *mut Raw, tolerance: f64, iterations: c_int) -> c_int;
    fn marsfm_omm_velocities(s: *mut Raw, kelvin: f64, rng_seed: c_int) -> c_int;
    fn marsfm_omm_step(s: *mut Raw, steps: c_int) -> c_int;
    fn marsfm_omm_energies(s: *mut Raw, potential: *mut f64, kinetic: *mut f64) -> c_int;
    fn marsfm_omm_positions(
        s: *mut Raw,
        xyz: *mut f64,
        forces: *mut f64,
        n_atoms: usize,
        cell: *mut f64,
    ) -> c_int;
    fn marsfm_omm_state_xml(s: *mut Raw, xml: *mut *const c_char) -> c_int;
    fn marsfm_omm_set_state_xml(s: *mut Raw, xml: *const c_char) -> c_int;
}

/// Cell vectors as rows, nm.
pub type Cell = [[f64; 3]; 3];

/// Statuses of guard.cpp.
const NOT_LOADED: c_int = 2;
const NO_C_API: c_int = 3;

/// Versions this plugin knows; newer ones of the same major are tried and remarked on.
pub const OLDEST: (u32, u32) = (8, 1);
/// The newest that was tried.
pub const NEWEST: (u32, u32) = (8, 6);

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn last() -> String {
    // SAFETY: a NULL buffer of capacity 0 only asks for the length.
    let mut buffer = vec![0u8; unsafe { marsfm_omm_error(std::ptr::null_mut(), 0) }];
    // SAFETY: the buffer has the capacity that is told.
    unsafe { marsfm_omm_error(buffer.as_mut_ptr().cast(), buffer.len()) };
    text(&buffer)
}

/// A status of the guard; OpenMM's words for a lost simulation become DIVERGED.
fn check(status: c_int) -> Result<(), PluginError> {
    if status == 0 {
        return Ok(());
    }
    let message = last();
    let lost = message.contains("NaN") || message.contains("infinite");
    let status = if lost { MARSFM_PLUGIN_DIVERGED } else { MARSFM_PLUGIN_ENGINE_FAILED };
    Err(PluginError { status, message: format!("OpenMM says: {message}") })
}

fn c_string(text: impl Into<Vec<u8>>, what: &str) -> Result<CString, PluginError> {
    CString::new(text).map_err(|_| PluginError::invalid(format!("{what} holds a NUL byte")))
}

fn c_path(path: &Path) -> Result<CString, PluginError> {
    use std::os::unix::ffi::OsStrExt;
    c_string(path.as_os_str().as_bytes(), "the path of the library")
}

/// One compute platform of OpenMM.
#[derive(Clone, Debug)]
pub struct Platform {
    index: c_int,
    /// `Reference`, `CPU`, `CUDA`, …
    pub name: String,
    /// Properties it knows (`Threads`, `Precision`, …).
    pub properties: Vec<String>,
    /// OpenMM's guess of its speed.
    pub speed: f64,
}

impl Platform {
    /// Sets a property for contexts made from now on, in the whole process.
    pub fn set(&self, property: &str, value: &str) -> Result<(), PluginError> {
        let (name, value) = (c_string(property, "a property")?, c_string(value, property)?);
        // SAFETY: terminated strings; the index is one that OpenMM gave.
        check(unsafe { marsfm_omm_set_property(self.index, name.as_ptr(), value.as_ptr()) })
    }
}

/// OpenMM, loaded into this process.
#[derive(Clone, Debug)]
pub struct Library {
    /// libOpenMM.so.
    pub path: PathBuf,
    /// As OpenMM spells it.
    pub version: String,
    /// Plugins of OpenMM that did not load, with OpenMM's reasons.
    pub failures: Vec<String>,
    /// In OpenMM's order.
    pub platforms: Vec<Platform>,
}

static LOADED: Mutex<Option<Library>> = Mutex::new(None);

impl Library {
    /// Loads a library, or gives the one that is loaded already if it is the same.
    pub fn load(path: &Path) -> Result<Self, PluginError> {
        let path = path.canonicalize().map_err(|e| missing(format!("{}: {e}", path.display())))?;
        let mut loaded = LOADED.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(library) = loaded.as_ref() {
            if library.path == path {
                return Ok(library.clone());
            }
            let (has, wants) = (library.path.display(), path.display());
            return Err(PluginError::invalid(format!(
                "this process has loaded OpenMM from {has}; {wants} needs a process of its own"
            )));
        }
        let library = Self::load_first(&path)?;
        *loaded = Some(library.clone());
        Ok(library)
    }

    fn load_first(path: &Path) -> Result<Self, PluginError> {
        let name = c_path(path)?;
        let shown = path.display();
        // SAFETY: a terminated path. Loading runs the library's initialisers: it is the OpenMM
        // that the user named or that the user's Python imports.
        match unsafe { marsfm_omm_load(name.as_ptr()) } {
            0 => {}
            NOT_LOADED => return Err(missing(format!("{shown} cannot be loaded: {}", last()))),
            NO_C_API => {
                let message = format!(
                    "{shown} lacks {}: it is older than OpenMM {}.{}, or built without the C API \
                     (Debian's is both); install a newer one: pip install openmm",
                    last(),
                    OLDEST.0,
                    OLDEST.1
                );
                return Err(PluginError { status: MARSFM_PLUGIN_ENGINE_VERSION, message });
            }
            other => return Err(missing(format!("{shown}: status {other}"))),
        }
        let mut buffer = vec![0u8; 256];
        // SAFETY: as large as is told.
        check(unsafe { marsfm_omm_version(buffer.as_mut_ptr().cast(), buffer.len()) })?;
        let version = text(&buffer);
        supported(&version)?;
        let failures = load_plugins(path)?;
        Ok(Self { path: path.to_owned(), version, failures, platforms: platforms()? })
    }

    /// The platform of a name, in any case.
    pub fn platform(&self, name: &str) -> Result<&Platform, PluginError> {
        let known = || self.platforms.iter().map(|p| p.name.as_str()).collect::<Vec<_>>();
        let found = self.platforms.iter().find(|p| p.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let mut message =
                format!("OpenMM has no platform {name:?} here; it has {}", known().join(", "));
            if !self.failures.is_empty() {
                message += &format!(". Did not load: {}", self.failures.join("; "));
            }
            PluginError::invalid(message)
        })
    }

    /// True if this version is newer than any that was tried.
    pub fn is_untried(&self) -> bool {
        numbers(&self.version).is_some_and(|v| v > NEWEST)
    }
}

fn missing(message: String) -> PluginError {
    PluginError { status: MARSFM_PLUGIN_ENGINE_MISSING, message }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|p| p.parse::<u32>().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// Same major version, and not older than the oldest.
fn supported(version: &str) -> Result<(), PluginError> {
    if numbers(version).is_some_and(|v| v >= OLDEST && v.0 == OLDEST.0) {
        return Ok(());
    }
    let ((major, minor), (_, newest)) = (OLDEST, NEWEST);
    let message = format!(
        "OpenMM {version} is not supported; {major}.{minor} or a newer {major}.x is needed \
         (tried up to {major}.{newest}): pip install openmm"
    );
    Err(PluginError { status: MARSFM_PLUGIN_ENGINE_VERSION, message })
}

fn load_plugins(library: &Path) -> Result<Vec<String>, PluginError> {
    let Some(folder) = library.parent().map(|p| p.join("plugins")).filter(|p| p.is_dir()) else {
        return Ok(Vec::new());
    };
    let (folder, mut buffer) = (c_path(&folder)?, vec![0u8; 1 << 16]);
    // SAFETY: a terminated path, a buffer as large as is told.
    check(unsafe {
        marsfm_omm_load_plugins(folder.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    })?;
    Ok(text(&buffer).lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect())
}

fn platforms() -> Result<Vec<Platform>, PluginError> {
    let (mut count, mut found) = (0, Vec::new());
    // SAFETY: a place of our own.
    check(unsafe { marsfm_omm_platforms(&mut count) })?;
    for index in 0..count {
        let (mut buffer, mut speed) = (vec![0u8; 1 << 14], 0.0);
        // SAFETY: places of our own, a buffer as large as is told.
        check(unsafe {
            marsfm_omm_platform(index, buffer.as_mut_ptr().cast(), buffer.len(), &mut speed)
        })?;
        let text = text(&buffer);
        let mut lines = text.lines().map(str::to_owned);
        let name = lines.next().unwrap_or_default();
        found.push(Platform { index, name, properties: lines.collect(), speed });
    }
    Ok(found)
}

/// What an integrator needs.
#[derive(Clone, Copy, Debug)]
pub struct Dynamics {
    /// Temperature, K.
    pub temperature_kelvin: f64,
    /// Friction, 1/ps.
    pub friction_per_ps: f64,
    /// Step, ps.
    pub step_ps: f64,
    /// Seed of the thermostat, positive.
    pub rng_seed: i32,
}

/// A System of OpenMM, and, once [`Simulation::start`] was called, its context.
pub struct Simulation {
    raw: NonNull<Raw>,
    n_atoms: usize,
    restrained: Vec<c_int>,
}

// SAFETY: OpenMM's objects are bound to no thread; one thread at a time by `&mut`.
unsafe impl Send for Simulation {}

impl Simulation {
    /// From a System's XML.
    pub fn new(system_xml: &str) -> Result<Self, PluginError> {
        let xml = c_string(system_xml, "system.xml")?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: a terminated text and a place of our own.
        check(unsafe { marsfm_omm_system(xml.as_ptr(), &mut raw) })?;
        let raw = NonNull::new(raw).ok_or_else(|| PluginError::invalid("no system was made"))?;
        let mut made = Self { raw, n_atoms: 0, restrained: Vec::new() };
        made.n_atoms = made.counts()?.0;
        Ok(made)
    }

    fn raw(&self) -> *mut Raw {
        self.raw.as_ptr()
    }

    /// Particles, constraints, and whether the system is periodic.
    pub fn counts(&self) -> Result<(usize, usize, bool), PluginError> {
        let (mut particles, mut constraints, mut periodic) = (0, 0, 0);
        // SAFETY: places of our own.
        check(unsafe {
            marsfm_omm_counts(self.raw(), &mut particles, &mut constraints, &mut periodic)
        })?;
        Ok((particles as usize, constraints as usize, periodic != 0))
    }

    /// Mass of each particle, Da; 0 for virtual sites and frozen ones.
    pub fn masses(&self) -> Result<Vec<f64>, PluginError> {
        (0..self.n_atoms as c_int)
            .map(|i| {
                let (mut mass, mut is_virtual) = (0.0, 0);
                // SAFETY: an index below the count, places of our own.
                check(unsafe { marsfm_omm_particle(self.raw(), i, &mut mass, &mut is_virtual) })?;
                Ok(if is_virtual == 0 { mass } else { 0.0 })
            })
            .collect()
    }

    /// Pairs of constrained particles.
    pub fn constraints(&self) -> Result<Vec<[usize; 2]>, PluginError> {
        (0..self.counts()?.1 as c_int)
            .map(|i| {
                let (mut a, mut b) = (0, 0);
                // SAFETY: an index below the count, places of our own.
                check(unsafe { marsfm_omm_constraint(self.raw(), i, &mut a, &mut b) })?;
                Ok([a as usize, b as usize])
            })
            .collect()
    }

    /// The System's own cell vectors, nm.
    pub fn default_cell(&self) -> Result<Cell, PluginError> {
        let mut cell = [[0.0; 3]; 3];
        // SAFETY: room for nine doubles.
        check(unsafe {
            marsfm_omm_default_cell(self.raw(), cell.as_flattened_mut().as_mut_ptr())
        })?;
        Ok(cell)
    }

    /// Prepares harmonic restraints on these atoms; before [`Simulation::start`].
    pub fn add_restraint(&mut self, atoms: &[usize]) -> Result<(), PluginError> {
        self.restrained = atoms.iter().map(|a| *a as c_int).collect();
        let (atoms, n) = (self.restrained.as_ptr(), self.restrained.len());
        // SAFETY: as many indices as are told.
        check(unsafe { marsfm_omm_add_restraint(self.raw(), atoms, n) })
    }

    /// Makes the integrator and the context.
    pub fn start(&mut self, platform: &Platform, d: Dynamics) -> Result<(), PluginError> {
        let Dynamics { temperature_kelvin, friction_per_ps, step_ps, rng_seed } = d;
        // SAFETY: a system without context; the index is one that OpenMM gave.
        check(unsafe {
            marsfm_omm_context(
                self.raw(),
                platform.index,
                temperature_kelvin,
                friction_per_ps,
                step_ps,
                rng_seed,
            )
        })
    }

    /// Centres the restraints on `positions_nm`; the strength (kJ/mol/nm²) is set apart.
    pub fn restrain(&mut self, positions_nm: &[[f64; 3]]) -> Result<(), PluginError> {
        self.same_count(positions_nm.len())?;
        let (atoms, n) = (self.restrained.as_ptr(), self.restrained.len());
        let xyz = positions_nm.as_flattened().as_ptr();
        // SAFETY: indices below the count of atoms, positions of all of them.
        check(unsafe { marsfm_omm_restrain(self.raw(), atoms, n, xyz) })
    }

    /// Strength of the restraints, kJ/mol/nm².
    pub fn restraint_strength(&mut self, k: f64) -> Result<(), PluginError> {
        // SAFETY: a context with that parameter, else OpenMM throws and the guard catches.
        check(unsafe { marsfm_omm_restraint_strength(self.raw(), k) })
    }

    fn same_count(&self, got: usize) -> Result<(), PluginError> {
        if got == self.n_atoms {
            return Ok(());
        }
        let want = self.n_atoms;
        Err(PluginError::mismatch(format!(
            "{got} positions for the {want} particles of the System"
        )))
    }

    /// Sets all positions, and the cell if there is one.
    pub fn set_positions(
        &mut self,
        positions_nm: &[[f64; 3]],
        cell_nm: Option<Cell>,
    ) -> Result<(), PluginError> {
        self.same_count(positions_nm.len())?;
        let cell = cell_nm.as_ref().map_or(std::ptr::null(), |c| c.as_flattened().as_ptr());
        let xyz = positions_nm.as_flattened().as_ptr();
        // SAFETY: as many positions as are told; NULL or nine doubles.
        check(unsafe { marsfm_omm_set_positions(self.raw(), xyz, positions_nm.len(), cell) })
    }

    /// Moves atoms onto constraints, and virtual sites to where they belong.
    pub fn constrain(&mut self) -> Result<(), PluginError> {
        // SAFETY: a context with positions, else OpenMM throws and the guard catches.
        check(unsafe { marsfm_omm_constrain(self.raw(), 1e-6) })
    }

    /// Minimises until the rms force is below `tolerance` (kJ/mol/nm), at most `iterations` steps.
    pub fn minimise(&mut self, tolerance: f64, iterations: i32) -> Result<(), PluginError> {
        // SAFETY: as above.
        check(unsafe { marsfm_omm_minimise(self.raw(), tolerance, iterations) })
    }

    /// Draws velocities.
    pub fn velocities(&mut self, kelvin: f64, rng_seed: i32) -> Result<(), PluginError> {
        // SAFETY: as above.
        check(unsafe { marsfm_omm_velocities(self.raw(), kelvin, rng_seed) })
    }

    /// Runs MD steps.
    pub fn step(&mut self, steps: i32) -> Result<(), PluginError> {
        // SAFETY: as above.
        check(unsafe { marsfm_omm_step(self.raw(), steps) })
    }

    /// Potential and kinetic energy, kJ/mol.
    pub fn energies(&self) -> Result<(f64, f64), PluginError> {
        let (mut potential, mut kinetic) = (0.0, 0.0);
        // SAFETY: places of our own.
        check(unsafe { marsfm_omm_energies(self.raw(), &mut potential, &mut kinetic) })?;
        Ok((potential, kinetic))
    }

    /// Positions and cell, nm.
    pub fn positions(&self) -> Result<(Vec<[f64; 3]>, Cell), PluginError> {
        let mut xyz = vec![[f64::NAN; 3]; self.n_atoms];
        let cell = self.read(&mut xyz, None)?;
        Ok((xyz, cell))
    }

    /// Forces, kJ/mol/nm.
    pub fn forces(&self) -> Result<Vec<[f64; 3]>, PluginError> {
        let (mut xyz, mut forces) = (vec![[0.0; 3]; self.n_atoms], vec![[0.0; 3]; self.n_atoms]);
        self.read(&mut xyz, Some(&mut forces))?;
        Ok(forces)
    }

    fn read(
        &self,
        xyz: &mut [[f64; 3]],
        forces: Option<&mut Vec<[f64; 3]>>,
    ) -> Result<Cell, PluginError> {
        let mut cell = [[0.0; 3]; 3];
        let forces = forces.map_or(std::ptr::null_mut(), |f| f.as_flattened_mut().as_mut_ptr());
        let xyz = xyz.as_flattened_mut().as_mut_ptr();
        let to = cell.as_flattened_mut().as_mut_ptr();
        // SAFETY: room for n_atoms rows in each array, and for nine doubles.
        check(unsafe { marsfm_omm_positions(self.raw(), xyz, forces, self.n_atoms, to) })?;
        Ok(cell)
    }

    /// Positions and velocities as OpenMM's State XML.
    pub fn state_xml(&self) -> Result<String, PluginError> {
        let mut xml = std::ptr::null();
        // SAFETY: a place of our own.
        check(unsafe { marsfm_omm_state_xml(self.raw(), &mut xml) })?;
        if xml.is_null() {
            return Err(PluginError::invalid("OpenMM gave no State"));
        }
        // SAFETY: OpenMM returns a terminated text.
        Ok(unsafe { CStr::from_ptr(xml) }.to_string_lossy().into_owned())
    }

    /// Takes positions, velocities and cell from State XML; the time becomes 0.
    pub fn set_state_xml(&mut self, xml: &str) -> Result<(), PluginError> {
        let xml = c_string(xml, "the State")?;
        // SAFETY: a terminated text.
        check(unsafe { marsfm_omm_set_state_xml(self.raw(), xml.as_ptr()) })
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // SAFETY: made by marsfm_omm_system, freed once.
        unsafe { marsfm_omm_free(self.raw()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for good in ["8.1.1", "8.1", "8.6.1.dev-b399af4", "8.10", "8.99"] {
            assert!(supported(good).is_ok(), "{good}");
        }
        for bad in ["7.7", "8.0.0", "9.0", "", "x.y"] {
            let error = supported(bad).unwrap_err();
            assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_VERSION, "{bad}");
        }
    }

    #[test]
    fn what_is_no_library_is_missing_and_what_is_no_openmm_is_too_old() {
        let error = Library::load(Path::new("/nowhere/libOpenMM.so")).unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_MISSING);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("libOpenMM.so");
        std::fs::write(&file, b"no library").unwrap();
        let error = Library::load(&file).unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_MISSING, "{error}");
        assert!(error.message.contains("libOpenMM.so"), "{error}");
    }
}
