//! `./x install --prefix P`: builds, then copies the product into P. Every file is written beside
//! its place and renamed, so that a running program keeps the library that it has open.
//!
//! ```text
//! P/bin/marsfm
//! P/include/*.h *.hpp
//! P/lib/libmarsfm.so.X.Y.Z, .so.X (SONAME), .so; libmarsfm.a
//! P/lib/marsfm/plugins/*.so
//! P/lib/pkgconfig/marsfm.pc
//! P/lib/cmake/marsfm/marsfmConfig.cmake, marsfmConfigVersion.cmake
//! P/share/marsfm/models/NAME/*
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::stage;
use crate::workspace::Workspace;

/// The plugins that are installed: name of the built library and of the installed one.
const PLUGINS: [&str; 6] = [
    "libmarsfm_plugin_xtc.so",
    "libmarsfm_plugin_hdf5.so",
    "libmarsfm_plugin_chemfiles.so",
    "libmarsfm_plugin_openmm.so",
    "libmarsfm_plugin_gromacs.so",
    "libmarsfm_plugin_gbsa.so",
];

const PKG_CONFIG: &str = include_str!("../install/marsfm.pc.in");
const CMAKE_CONFIG: &str = include_str!("../install/marsfmConfig.cmake.in");
const CMAKE_VERSION: &str = include_str!("../install/marsfmConfigVersion.cmake.in");

/// Builds and installs; nothing is copied if a file to install is missing.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let prefix = prefix(arguments)?;
    // All of it: some packages alone would be built anew, with other features of what they use.
    stage::run("build", &mut workspace.cargo(&["build", "--release", "--workspace"]))?;

    let files = plan(workspace)?;
    let missing: Vec<String> = files
        .iter()
        .filter(|file| !file.from.is_file())
        .map(|file| file.from.display().to_string())
        .collect();
    ensure!(missing.is_empty(), "cannot install, these files do not exist: {}", missing.join(", "));
    for file in &files {
        copy(&file.from, &prefix.join(&file.to), file.mode)?;
    }
    let lib = prefix.join("lib");
    let full = format!("libmarsfm.so.{}", workspace.version);
    let soname = format!("libmarsfm.so.{}", major(&workspace.version));
    link(&lib, &full, &soname)?;
    link(&lib, &soname, "libmarsfm.so")?;
    for (to, template) in [
        ("lib/pkgconfig/marsfm.pc", PKG_CONFIG),
        ("lib/cmake/marsfm/marsfmConfig.cmake", CMAKE_CONFIG),
        ("lib/cmake/marsfm/marsfmConfigVersion.cmake", CMAKE_VERSION),
    ] {
        write(&prefix.join(to), fill(template, &workspace.version).as_bytes(), 0o644)?;
    }
    println!("installed marsfm {} into {}", workspace.version, prefix.display());
    Ok(())
}

fn prefix(arguments: &[String]) -> Result<PathBuf> {
    let given = match arguments {
        [flag, path] if flag == "--prefix" => path.as_str(),
        [both] => both.strip_prefix("--prefix=").unwrap_or(""),
        _ => "",
    };
    ensure!(!given.is_empty(), "usage: ./x install --prefix FOLDER");
    Ok(std::path::absolute(given)?)
}

/// One file to copy; `to` is relative to the prefix.
struct Item {
    from: PathBuf,
    to: PathBuf,
    mode: u32,
}

fn plan(workspace: &Workspace) -> Result<Vec<Item>> {
    let release = workspace.release();
    let mut files = Vec::new();
    let mut add = |from: PathBuf, to: PathBuf, mode: u32| files.push(Item { from, to, mode });
    add(release.join("marsfm"), "bin/marsfm".into(), 0o755);
    let library = format!("lib/libmarsfm.so.{}", workspace.version);
    add(release.join("libmarsfm.so"), library.into(), 0o755);
    add(release.join("libmarsfm.a"), "lib/libmarsfm.a".into(), 0o644);
    for plugin in PLUGINS {
        add(release.join(plugin), Path::new("lib/marsfm/plugins").join(plugin), 0o755);
    }
    let headers = with_extension(&workspace.root.join("include"), &["h", "hpp"])?;
    ensure!(!headers.is_empty(), "cannot install, include/ has no header");
    for header in headers {
        let to = Path::new("include").join(header.file_name().unwrap_or_default());
        add(header, to, 0o644);
    }
    for model in models(&workspace.root.join("examples/models"))? {
        let folder = model.parent().and_then(Path::file_name).unwrap_or_default();
        let to = Path::new("share/marsfm/models")
            .join(folder)
            .join(model.file_name().unwrap_or_default());
        add(model, to, 0o644);
    }
    Ok(files)
}

/// The models of `examples/models`, each in a folder of its own with its model card and recipe.
fn models(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let folder = entry?.path();
        if folder.is_dir() && !with_extension(&folder, &["safetensors"])?.is_empty() {
            found.extend(with_extension(&folder, &["safetensors", "md", "json", "toml"])?);
        }
    }
    if found.is_empty() {
        bail!("cannot install, no model (*.safetensors) in the folders of {}", folder.display());
    }
    found.sort();
    Ok(found)
}

fn with_extension(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        if path.is_file() && extensions.contains(&extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(to, &bytes, mode)
}

fn write(to: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.join(format!(".{name}.partial"));
    let attempt = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(&partial, bytes)?;
        fs::set_permissions(&partial, fs::Permissions::from_mode(mode))?;
        fs::rename(&partial, to)
    };
    attempt().with_context(|| format!("cannot write {}", to.display()))
}

fn link(folder: &Path, target: &str, name: &str) -> Result<()> {
    let partial = folder.join(format!(".{name}.partial"));
    let _ = fs::remove_file(&partial);
    std::os::unix::fs::symlink(target, &partial)
        .and_then(|()| fs::rename(&partial, folder.join(name)))
        .with_context(|| format!("cannot link {} in {}", name, folder.display()))
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

fn fill(template: &str, version: &str) -> String {
    template.replace("@VERSION@", version).replace("@MAJOR@", major(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_asked_for_in_two_spellings() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(prefix(&words("--prefix /p")).ok(), Some("/p".into()));
        assert_eq!(prefix(&words("--prefix=/p")).ok(), Some("/p".into()));
        assert!(prefix(&words("/p")).is_err());
        assert!(prefix(&[]).is_err());
    }

    #[test]
    fn templates_leave_no_placeholder() {
        for template in [PKG_CONFIG, CMAKE_CONFIG, CMAKE_VERSION] {
            let text = fill(template, "3.2.1");
            assert!(!text.contains("@VERSION@") && !text.contains("@MAJOR@"), "{text}");
            assert!(text.contains('3'));
        }
    }
}
