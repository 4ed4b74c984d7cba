//! `marsfm plugins list|check`.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;

/// What to do with plugins.
#[derive(clap::Subcommand)]
pub enum Command {
    /// What was found in the plugin folders, and what was refused.
    List {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Loads one plugin and says what it is, or why it is refused.
    Check {
        /// The plugin.
        file: PathBuf,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Lists or checks.
pub fn run(host: &Host, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { json } => show(host, *json),
        Command::Check { file, json } => {
            let mut alone = Host::new();
            alone.load(file)?;
            show(&alone, *json)
        }
    }
}

fn show(host: &Host, json: bool) -> anyhow::Result<ExitCode> {
    let all = host.report();
    if json {
        super::print_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    for s in &all {
        match (&s.name, &s.refused) {
            (Some(name), None) => {
                let version = s.version.as_deref().unwrap_or("?");
                println!("{name} {version}: {} ({})", s.services.join(", "), s.path);
            }
            (_, why) => {
                println!("refused {}: {}", s.path, why.as_deref().unwrap_or("unknown"));
            }
        }
    }
    if all.is_empty() {
        println!("no plugin was found; searched:");
        host.searched().iter().for_each(|p| println!("  {}", p.display()));
    }
    Ok(ExitCode::SUCCESS)
}
