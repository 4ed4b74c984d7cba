//! What the loop itself costs: wall time beyond MD with its preparation and proposals, on the toy,
//! where MD costs nothing, and on a short loop on OpenMM, where the share is at its worst.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use marsfm::Host;
use marsfm::adaptive::{self, Limits, Watch};

use crate::root;

/// One loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub engine: String,
    pub epochs: usize,
    pub runs: usize,
    pub md_ns: f64,
    /// Wall time of all, from the opening of the engine on, s.
    pub wall_s: f64,
    /// Wall time of MD and preparation, proposals, reading back, models, choice, rest, s.
    pub stages_s: [f64; 6],
}

const HEADER: &str =
    "engine,epochs,runs,md_ns,wall_s,md_s,propose_s,read_s,model_s,choose_s,rest_s";

/// Runs both loops, or the toy's alone without a template folder, and puts their rows in the file.
pub fn run(path: &Path, words: &[&str]) -> Result<()> {
    let template = match words {
        [] => None,
        [template] => Some(std::path::absolute(template)?),
        _ => bail!("overhead takes one template folder"),
    };
    let mut rows = if path.is_file() { read(path)? } else { Vec::new() };
    let mut put = |row: Row| {
        rows.retain(|r| r.engine != row.engine);
        rows.push(row);
    };
    let text = std::fs::read_to_string(root().join("examples/loop/toy.toml"))?;
    put(measure("toy", &text.replace("epochs = 10 ", "epochs = 25 "))?);
    if let Some(template) = template {
        put(measure("openmm", &molecule(&template)?)?);
    }
    rows.sort_by(|a, b| a.engine.cmp(&b.engine));
    let lines: String = rows.iter().map(|r| format!("{}\n", line(r))).collect();
    Ok(std::fs::write(path, format!("{HEADER}\n{lines}"))?)
}

/// A loop on a peptide: jumps of the default surrogate, runs that are as short as runs should be.
fn molecule(template: &Path) -> Result<String> {
    ensure!(template.join("system.xml").is_file(), "{}: no template", template.display());
    let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
    let model = std::path::absolute(model)?;
    Ok(format!(
        "rng_seed = 1\n[engine]\nname = \"openmm\"\noptions = {{ template = {template:?} }}\n\
         [budget]\nepochs = 6\nseeds = 4\nhead_ps = 10.0\nrun_ps = 100.0\nframe_ps = 1.0\n\
         [strategy]\nproposer = \"jump\"\noptions = {{ model = {model:?} }}\n"
    ))
}

fn measure(engine: &str, settings: &str) -> Result<Row> {
    struct Silent;
    impl Watch for Silent {}
    let folder = tempfile::tempdir()?;
    let (file, out): (PathBuf, PathBuf) =
        (folder.path().join("loop.toml"), folder.path().join("loop"));
    std::fs::write(&file, settings)?;
    let host = Host::with_default_paths();
    adaptive::begin(&host, &file, &out)?;
    let clock = Instant::now();
    let (ended, history) = adaptive::go_on(&host, &out, Limits::default(), &mut Silent)?;
    let wall_s = clock.elapsed().as_secs_f64();
    ensure!(ended == adaptive::Ended::Complete, "it ended early: {ended:?}");
    let store = adaptive::look(&out)?;
    let t = store.stages();
    Ok(Row {
        engine: engine.into(),
        epochs: history.epochs.len(),
        runs: history.runs.len(),
        md_ns: history.md_ps(store.settings().budget.frame_ps) / 1000.0,
        wall_s,
        stages_s: [t.md, t.propose, t.read, t.model, t.choose, t.rest],
    })
}

fn line(r: &Row) -> String {
    let stages: Vec<String> = r.stages_s.iter().map(|s| format!("{s:.3}")).collect();
    format!(
        "{},{},{},{:.3},{:.3},{}",
        r.engine,
        r.epochs,
        r.runs,
        r.md_ns,
        r.wall_s,
        stages.join(",")
    )
}

/// Reads the rows.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut lines = text.lines();
    ensure!(lines.next() == Some(HEADER), "{}: its first line is not {HEADER}", path.display());
    let one = |line: &str| -> Result<Row> {
        let f: Vec<&str> = line.split(',').collect();
        ensure!(f.len() == 11, "{line:?}: {} fields", f.len());
        let number = |k: usize| f[k].parse::<f64>().with_context(|| format!("{line:?}"));
        let mut stages_s = [0.0; 6];
        for (k, s) in stages_s.iter_mut().enumerate() {
            *s = number(5 + k)?;
        }
        Ok(Row {
            engine: f[0].into(),
            epochs: f[1].parse()?,
            runs: f[2].parse()?,
            md_ns: number(3)?,
            wall_s: number(4)?,
            stages_s,
        })
    };
    lines.map(one).collect()
}

/// The table of the rows.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from(
        "| loop | epochs | runs | MD (ns) | wall (s) | MD and preparation | proposals | reading back \
         | models | choice | rest | opening | beyond MD, preparation and proposals | the same per run \
         (ms) |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for r in rows {
        let own: f64 = r.stages_s[2..].iter().sum();
        let opening = r.wall_s - r.stages_s.iter().sum::<f64>();
        let stages: String = r.stages_s.iter().map(|s| format!(" {s:.2} |")).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} | {:.1} |{stages} {opening:.2} | {:.2} % | {:.1} |",
            r.engine,
            r.epochs,
            r.runs,
            r.md_ns,
            r.wall_s,
            100.0 * own / r.wall_s.max(1e-9),
            1000.0 * own / r.runs.max(1) as f64
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_accounts_for_its_wall_time() {
        let text = std::fs::read_to_string(root().join("examples/loop/toy.toml")).unwrap();
        let row = measure("toy", &text.replace("epochs = 10 ", "epochs = 3 ")).unwrap();
        let sum: f64 = row.stages_s.iter().sum();
        assert!(sum <= row.wall_s && row.stages_s.iter().all(|s| *s >= 0.0), "{row:?}");
        assert!(row.wall_s - sum < 0.2 + 0.2 * row.wall_s, "a stage is not told: {row:?}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("overhead.csv");
        std::fs::write(&path, format!("{HEADER}\n{}\n", line(&row))).unwrap();
        assert_eq!(read(&path).unwrap()[0].runs, 12);
        assert!(markdown(&read(&path).unwrap()).contains("| toy | 3 | 12 |"));
    }
}
