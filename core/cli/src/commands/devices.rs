//! `marsfm devices`: what there is to compute on, and why not.

use std::process::ExitCode;

use marsfm::Host;

/// Arguments of `marsfm devices`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// Tells. No CUDA device is an answer, not a failure.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    let devices = host.devices();
    if a.json {
        super::print_json(&devices)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("cpu: {} threads", devices.cpu_threads);
    if devices.cuda_usable {
        println!("cuda: {}", devices.cuda);
    } else {
        println!("no CUDA device: {}", devices.cuda);
    }
    if let Some(driver) = &devices.cuda_driver {
        println!("NVIDIA's driver: {driver}");
    }
    for backend in &devices.backends {
        println!("plugin {} ({})", backend.name, backend.path);
        for (index, device) in backend.devices.iter().enumerate() {
            println!("  {}:{index} {device}", backend.name);
        }
        for why in &backend.failures {
            println!("  {}: {why}", if backend.devices.is_empty() { "none" } else { "but" });
        }
    }
    Ok(ExitCode::SUCCESS)
}
