//! Development commands behind `./x`: each command is one module. `./x` has already seen to the
//! Debian packages when this starts.

mod bench;
mod demo;
mod engine_demo;
mod install;
mod loop_demo;
mod python;
mod skips;
mod stage;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("x: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!("no command given; ./x help lists them");
    };
    let workspace = workspace::Workspace::find()?;
    match command.as_str() {
        "demo" => demo::run(&workspace, rest),
        "demo-openmm" => engine_demo::run(&workspace, "openmm", rest),
        "demo-gromacs" => engine_demo::run(&workspace, "gromacs", rest),
        "demo-loop" => loop_demo::run(&workspace),
        "test" => test::run(&workspace, rest),
        "install" => install::run(&workspace, rest),
        other => match other.strip_prefix("bench-") {
            Some(name) => bench::run(&workspace, name, rest),
            None => bail!("there is no command '{other}'; ./x help lists them"),
        },
    }
}
