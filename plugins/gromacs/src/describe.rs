//! What is here: for `marsfm engine doctor`.

use crate::child::{self, Job};
use crate::find::{self, Program};
use crate::mpi::Mpi;
use crate::settings::Settings;
use marsfm_plugin_api::PluginError;
use serde_json::{Value, json};
use std::path::Path;

/// Two argon atoms: enough to see whether grompp and mdrun work.
const TOP: &str = "[ defaults ]\n1 2 yes 0.5 0.8333\n[ atomtypes ]\n\
Ar 18 39.948 0.0 A 0.34 0.99\n[ moleculetype ]\nAr 1\n[ atoms ]\n1 Ar 1 Ar Ar 1 0.0 39.948\n\
[ system ]\nargon\n[ molecules ]\nAr 2\n";
const GRO: &str = "argon\n    2\n    1Ar      Ar    1   1.000   1.000   1.000\n\
\x20   2Ar      Ar    2   1.400   1.000   1.000\n   3.0   3.0   3.0\n";
const MDP: &str = "integrator = md\nnsteps = 10\ndt = 0.001\ncutoff-scheme = Verlet\n\
nstcomm = 10\nnstcalcenergy = 10\nverlet-buffer-tolerance = -1\nrlist = 1.0\nrcoulomb = 0.9\n\
rvdw = 0.9\n";

/// The JSON object of the contract.
pub fn describe(options: Option<&str>) -> Result<String, PluginError> {
    let settings = Settings::read(options)?;
    let answer = match find::program(settings.program.as_deref()) {
        Ok(program) => of(&program, &settings),
        Err(e) => json!({
            "engine": "GROMACS",
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

fn of(program: &Program, settings: &Settings) -> Value {
    let tried = ten_steps(program);
    let kind = if program.mpi { "MPI library" } else { "thread-MPI" };
    let name = format!("{kind}, {} precision", program.precision);
    let mut platforms = vec![tell(&name, &tried)];
    platforms.push(tell("gmx_mpi under mpirun", &under_mpirun(program, settings)));
    let mut advice = Vec::new();
    if program.release > find::NEWEST {
        advice.push(format!(
            "this GROMACS is newer than {}, the newest that was tried; it should work",
            find::NEWEST
        ));
    }
    json!({
        "engine": "GROMACS",
        "version": program.version,
        "usable": tried.is_ok(),
        "location": program.path.display().to_string(),
        "platforms": platforms,
        "failures": [],
        "advice": advice,
    })
}

fn tell(name: &str, tried: &Result<(), PluginError>) -> Value {
    match tried {
        Ok(()) => json!({"name": name, "usable": true}),
        Err(e) => json!({"name": name, "usable": false, "why": e.message}),
    }
}

fn prepared(program: &Path) -> Result<tempfile::TempDir, PluginError> {
    let folder = child::scratch()?;
    for (name, text) in [("topol.top", TOP), ("conf.gro", GRO), ("grompp.mdp", MDP)] {
        let path = folder.path().join(name);
        marsfm_plugin_api::write_whole(&path, text.as_bytes())?;
    }
    let job = Job::new(program, folder.path());
    job.run(&["-quiet".to_owned(), "grompp".to_owned()], None)?;
    Ok(folder)
}

const TEN: [&str; 5] = ["-quiet", "mdrun", "-ntomp", "1", "-noconfout"];

fn ten_steps(program: &Program) -> Result<(), PluginError> {
    let folder = prepared(&program.path)?;
    Job::new(&program.path, folder.path()).run(&TEN.map(str::to_owned), None).map(drop)
}

/// Needed only by seeds that run together.
fn under_mpirun(program: &Program, settings: &Settings) -> Result<(), PluginError> {
    let mpi = Mpi::find(program, settings)?;
    let folder = prepared(&program.path)?;
    let launcher = mpi.start(1);
    let job = Job { launcher: &launcher, ..Job::new(&mpi.program.path, folder.path()) };
    job.run(&TEN.map(str::to_owned), None).map(drop)
}
