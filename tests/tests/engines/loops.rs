//! The loop on OpenMM and gbsa: jumps of the default surrogate, the residue library, stored frames; the
//! MD read back into a model; imported MD; a report.

use std::path::Path;

use crate::support::*;
use marsfm::Host;
use marsfm::adaptive::{self, Ended, ImportRequest, Limits};

struct Silent;
impl adaptive::Watch for Silent {}

/// Stops the loop at the first mention of a stage.
struct StopAt(&'static str);
impl adaptive::Watch for StopAt {
    fn progress(&mut self, p: adaptive::Progress<'_>) -> bool {
        !p.stage.contains(self.0)
    }
}

fn settings(folder: &Path, name: &str, proposer: &str) -> std::path::PathBuf {
    let text = format!(
        "rng_seed = 3\n[engine]\nname = \"openmm\"\n[engine.options]\ntemplate = \"template\"\n\
         platform = \"Reference\"\n[budget]\nepochs = 2\nseeds = 3\nhead_ps = 0.4\nrun_ps = 4.0\n\
         frame_ps = 0.04\nfree_mib = 1\n[model]\nmsm_lag_ps = 0.4\ntica_lag_ps = 0.4\n\
         microstates = 12\nmacrostates = 3\n[strategy]\nproposals_per_seed = 3\n{proposer}\n\
         [statistics]\ndraws = 10\n"
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}

fn go(host: &Host, folder: &Path) -> (Ended, adaptive::History) {
    adaptive::go_on(host, folder, Limits::default(), &mut Silent)
        .unwrap_or_else(|e| panic!("{}: {e:#}", folder.display()))
}

#[test]
fn proposers_go_through_openmm_and_come_back_as_a_model() {
    if !has_openmm("proposers_go_through_openmm_and_come_back_as_a_model") {
        return;
    }
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let folder = dir.path();
    openmm_template(&peptide(), &folder.join("template"));
    let at = |path: &str| root().join(path).display().to_string();
    let model = at("examples/models/tetrapeptide/tetrapeptide.safetensors");
    let data = at("examples/data/tetrapeptides");
    let (top, xtc) = (at("examples/data/QLAQ/QLAQ.pdb"), at("examples/data/QLAQ/r0.xtc"));
    let mut folders = Vec::new();
    for (name, proposer) in [
        ("jump", format!("proposer = \"jump\"\noptions = {{ model = \"{model}\" }}")),
        (
            "library",
            format!(
                "proposer = \"library\"\noptions = {{ data = \"{data}\", systems = [\"EDLT\", \
                 \"AICY\", \"GGMP\", \"FMQR\"] }}"
            ),
        ),
        (
            "stored",
            format!(
                "proposer = \"stored\"\noptions = {{ topology = \"{top}\", trajectories = \
                 [\"{xtc}\"] }}"
            ),
        ),
    ] {
        let out = folder.join(name);
        adaptive::begin(&host, &settings(folder, name, &proposer), &out)
            .unwrap_or_else(|e| panic!("{name}: {e:#}"));
        let (ended, h) = go(&host, &out);
        assert_eq!((ended, h.epochs.len()), (Ended::Complete, 2), "{name}");
        assert_eq!(h.runs.len() + h.lost.len(), 6, "{name}");
        assert!(h.plans[1].seeds.iter().all(|s| s.class == name), "{name}");
        assert!(h.runs.iter().all(|r| (r.frames, r.head_frames) == (110, 10)), "{name}");
        assert!(h.runs.iter().filter(|r| r.epoch == Some(1)).count() > 0, "{name}: {:?}", h.lost);
        assert!(out.join("gate.json").is_file(), "{name}");
        assert_eq!(h.about.temperature_kelvin, 300.0);
        let parents = h.plans[1].seeds.iter().filter(|s| s.parent.is_some()).count();
        assert_eq!(parents, if name == "jump" { h.plans[1].seeds.len() } else { 0 });
        folders.push(out);
    }
    let file = settings(folder, "together", "proposer = \"visited\"");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[engine]\n", "[engine]\ntogether = 2\n")).unwrap();
    let error = adaptive::begin(&host, &file, &folder.join("together")).err().unwrap();
    assert!(format!("{error:#}").contains("openmm runs one seed at a time"), "{error:#}");
    let comparison = adaptive::compare(&folders).unwrap();
    let page = adaptive::write_report(&comparison, &folder.join("report")).unwrap();
    assert!(std::fs::read_to_string(page).unwrap().contains("library × least-counts"));
    assert_eq!(comparison.axes[0], "TICA 1");
    for l in &comparison.loops {
        assert!(l.md.prepared_ns > 0.0 && l.stages.md > 0.0, "{:?} {:?}", l.md, l.stages);
    }
}

#[test]
fn the_example_without_any_install_is_the_same_together_stopped_and_one_by_one() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let folder = dir.path();
    let example = root().join("examples/loop");
    let text = std::fs::read_to_string(example.join("gbsa.toml")).unwrap();
    let mut all = Vec::new();
    for (name, together) in [("together", "16"), ("alone", "1")] {
        let template = format!("template = {:?}", example.join("QLAQ"));
        let mut text = text.clone();
        for (from, to) in [
            ("template = \"QLAQ\"", template.as_str()),
            ("together = 16", &format!("together = {together}")),
            ("epochs = 4", "epochs = 2"),
            ("seeds = 16", "seeds = 3"),
            ("head_ps = 10.0", "head_ps = 0.4"),
            ("run_ps = 200.0", "run_ps = 4.0"),
            ("frame_ps = 1.0", "frame_ps = 0.04"),
            ("msm_lag_ps = 10.0", "msm_lag_ps = 0.4"),
            ("tica_lag_ps = 10.0", "tica_lag_ps = 0.4"),
            ("microstates = 50", "microstates = 12"),
        ] {
            assert!(text.contains(from), "gbsa.toml does not hold {from:?}");
            text = text.replace(from, to);
        }
        let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
        text += &format!("\n[strategy.options]\nmodel = {model:?}\n");
        let (file, out) = (folder.join(name).with_extension("toml"), folder.join(name));
        std::fs::write(&file, text).unwrap();
        adaptive::begin(&host, &file, &out).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        let limits = Limits { epochs: Some(1), ..Limits::default() };
        let (ended, _) = adaptive::go_on(&host, &out, limits, &mut Silent).unwrap();
        assert_eq!(ended, Ended::Limits);
        // Asked to stop in the middle of the second epoch's runs: nothing of them is told.
        let (ended, h) =
            adaptive::go_on(&host, &out, Limits::default(), &mut StopAt("MD")).unwrap();
        assert_eq!((ended, h.runs.len() + h.lost.len()), (Ended::Stopped, 3), "{name}");
        let (ended, h) = go(&host, &out);
        assert_eq!((ended, h.runs.len() + h.lost.len()), (Ended::Complete, 6), "{name}");
        assert!(!out.join("epoch_001/seed_000/together").exists());
        let runs = h.runs.iter().map(|r| (r.epoch, r.seed, r.rows_sha256.clone()));
        all.push(runs.collect::<Vec<_>>());
    }
    assert_eq!(all[0], all[1]);
}

/// Runs of a fifth of the length: what is asked is where seeds come from, not what MD says.
fn shorter(text: &str) -> String {
    let text =
        text.replace("run_ps = 4.0", "run_ps = 0.8").replace("head_ps = 0.4", "head_ps = 0.08");
    text.replace("msm_lag_ps = 0.4", "msm_lag_ps = 0.08")
        .replace("tica_lag_ps = 0.4", "tica_lag_ps = 0.08")
}

#[test]
fn windows_imported_frames_and_a_plugin_s_structures_go_through_openmm() {
    if !has_openmm("loops::windows_imported_frames_and_a_plugin_s_structures_go_through_openmm") {
        return;
    }
    let (dir, mut host) = (tempfile::tempdir().unwrap(), host());
    host.load(template_plugin()).unwrap();
    let folder = dir.path();
    openmm_template(&peptide(), &folder.join("template"));
    let at = |path: &str| root().join(path).display().to_string();
    let model = at("examples/models/tetrapeptide/tetrapeptide.safetensors");
    let mdgen = at("examples/models/mdgen20/mdgen20.safetensors");
    let (top, xtc) = (at("examples/data/QLAQ/QLAQ.pdb"), at("examples/data/QLAQ/r0.xtc"));
    for (name, options) in [
        ("hybrid", format!("model = \"{model}\", mdgen = \"{mdgen}\", draws_per_parent = 3")),
        ("imported", format!("topology = \"{top}\", trajectories = [\"{xtc}\"]")),
        ("plugin:twist", "max_degrees = 30.0".to_owned()),
    ] {
        let out = folder.join(name.replace(':', "-"));
        let strategy = format!("proposer = \"{name}\"\noptions = {{ {options} }}");
        let file = settings(folder, "settings", &strategy);
        let text = std::fs::read_to_string(&file).unwrap().replace("seeds = 3", "seeds = 2");
        std::fs::write(&file, shorter(&text)).unwrap();
        adaptive::begin(&host, &file, &out).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        let (ended, h) = go(&host, &out);
        assert_eq!((ended, h.runs.len() + h.lost.len()), (Ended::Complete, 4), "{name}");
        assert!(h.runs.iter().filter(|r| r.epoch == Some(1)).count() > 0, "{name}: {:?}", h.lost);
        let from_frames = name != "imported";
        for seed in &h.plans[1].seeds {
            assert_eq!((seed.class.as_str(), seed.parent.is_some()), (name, from_frames));
        }
        assert!(h.plans[1].accepted >= 2, "{name}: {:?}", h.plans[1]);
    }
}

#[test]
fn a_bandit_shares_seeds_of_openmm_by_what_they_earn() {
    let test = "loops::a_bandit_shares_seeds_of_openmm_by_what_they_earn";
    if !has_openmm(test) || !alone(test) {
        return;
    }
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let folder = dir.path();
    openmm_template(&peptide(), &folder.join("template"));
    let at = |path: &str| root().join(path).display().to_string();
    let (top, xtc) = (at("examples/data/QLAQ/QLAQ.pdb"), at("examples/data/QLAQ/r0.xtc"));
    let model = at("examples/models/tetrapeptide/tetrapeptide.safetensors");
    let bandit = format!(
        "proposer = \"bandit\"\n[strategy.options]\narms = [\"jump\", \"imported\", \
         \"visited\"]\nexploration = 0.5\n[strategy.options.jump]\nmodel = \"{model}\"\n\
         [strategy.options.imported]\ntopology = \"{top}\"\ntrajectories = [\"{xtc}\"]"
    );
    let file = settings(folder, "bandit", &bandit);
    let text = std::fs::read_to_string(&file).unwrap().replace("epochs = 2", "epochs = 3");
    std::fs::write(&file, shorter(&text)).unwrap();
    let mut plans = Vec::new();
    for name in ["whole", "stopped"] {
        let out = folder.join(name);
        adaptive::begin(&host, &file, &out).unwrap_or_else(|e| panic!("{e:#}"));
        if name == "stopped" {
            let one = Limits { epochs: Some(2), ..Limits::default() };
            let (ended, _) = adaptive::go_on(&host, &out, one, &mut Silent).unwrap();
            assert_eq!(ended, Ended::Limits);
        }
        let (ended, h) = go(&host, &out);
        assert_eq!((ended, h.runs.len() + h.lost.len()), (Ended::Complete, 9), "{:?}", h.lost);
        // The first epoch with a choice tries each arm; the next goes by what they earned.
        let classes: Vec<&str> = h.plans[1].seeds.iter().map(|s| s.class.as_str()).collect();
        assert!(["jump", "imported", "visited"].iter().all(|c| classes.contains(c)), "{classes:?}");
        let known = |s: &&str| ["jump", "imported", "visited"].contains(s);
        let last: Vec<&str> = h.plans[2].seeds.iter().map(|s| s.class.as_str()).collect();
        assert!(last.len() == 3 && last.iter().all(known), "{last:?}");
        plans.push(h.plans.iter().map(|p| (p.sha256.clone(), p.seeds.clone())).collect::<Vec<_>>());
    }
    assert_eq!(plans[0], plans[1], "a bandit that was stopped goes on otherwise");
}

#[test]
fn jumps_go_through_gromacs() {
    if !has_gromacs("loops::jumps_go_through_gromacs") {
        return;
    }
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let folder = dir.path();
    gromacs_template(&peptide(), &folder.join("template"), &[]);
    let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
    let jump = format!("proposer = \"tree\"\noptions = {{ model = {model:?} }}");
    let file = settings(folder, "gromacs", &jump);
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("\"openmm\"", "\"gromacs\"").replace("platform = \"Reference\"\n", "");
    std::fs::write(&file, text.replace("seeds = 3", "seeds = 2")).unwrap();
    let out = folder.join("loop");
    adaptive::begin(&host, &file, &out).unwrap_or_else(|e| panic!("{e:#}"));
    let (ended, h) = go(&host, &out);
    assert_eq!((ended, h.runs.len() + h.lost.len()), (Ended::Complete, 4), "{:?}", h.lost);
    assert!(h.runs.iter().all(|r| (r.frames, r.head_frames) == (110, 10)));
    let own = h.runs.iter().filter(|r| r.epoch == Some(1)).count();
    assert!(own > 0 && h.plans[1].seeds.iter().all(|s| s.class == "tree"), "{:?}", h.lost);
}

#[test]
fn md_of_a_user_is_imported_and_the_first_epoch_starts_from_it() {
    if !has_openmm("md_of_a_user_is_imported_and_the_first_epoch_starts_from_it") {
        return;
    }
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let folder = dir.path();
    openmm_template(&peptide(), &folder.join("template"));
    let text =
        std::fs::read_to_string(settings(folder, "import", "proposer = \"visited\"")).unwrap();
    // The example's frames are further apart than this loop's.
    let file = folder.join("import.toml");
    let text = text
        .replace("epochs = 2", "epochs = 1")
        .replace("seeds = 3", "seeds = 2")
        .replace("frame_ps = 0.04", "frame_ps = 4.0")
        .replace("head_ps = 0.4", "head_ps = 0.0")
        .replace("run_ps = 4.0", "run_ps = 40.0")
        .replace("msm_lag_ps = 0.4\ntica_lag_ps = 0.4", "msm_lag_ps = 4.0\ntica_lag_ps = 4.0");
    std::fs::write(&file, text).unwrap();
    let out = folder.join("import");
    adaptive::begin(&host, &file, &out).unwrap();
    let request = ImportRequest {
        trajectories: vec![root().join("examples/data/QLAQ/r0.xtc")],
        topology: Some(root().join("examples/data/QLAQ/QLAQ.pdb")),
        head_ps: 40.0,
        frame_ps: None,
    };
    let taken = adaptive::import(&host, &out, &request).unwrap_or_else(|e| panic!("{e:#}"));
    assert!(taken[0] > 100, "{taken:?}");
    let (ended, h) = go(&host, &out);
    assert_eq!((ended, h.runs.len()), (Ended::Complete, 3), "{:?}", h.lost);
    assert_eq!(h.class(&h.runs[0]), "imported");
    assert!(h.plans[0].seeds.iter().all(|s| s.class == "visited" && s.parent.is_some()));
}

#[test]
fn a_surrogate_learns_between_epochs_and_from_a_hotter_loop() {
    let test = "loops::a_surrogate_learns_between_epochs_and_from_a_hotter_loop";
    if !has_openmm(test) || !alone(test) {
        return;
    }
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let folder = dir.path();
    openmm_template(&peptide(), &folder.join("template"));
    // Heat: plain MD of the same system at another temperature.
    let file = settings(folder, "hot", "proposer = \"parallel\"");
    let text = std::fs::read_to_string(&file).unwrap();
    let hot = "platform = \"Reference\"\ntemperature_kelvin = 450.0";
    let text = text.replace("platform = \"Reference\"", hot);
    std::fs::write(&file, text.replace("epochs = 2", "epochs = 1")).unwrap();
    adaptive::begin(&host, &file, &folder.join("hot")).unwrap();
    let (_, h) = go(&host, &folder.join("hot"));
    assert_eq!((h.about.temperature_kelvin, h.runs.len()), (450.0, 3));

    // And jump.
    let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
    let data = root().join("examples/data/tetrapeptides");
    let learning = |name: &str, learn: &str, epochs: usize| {
        let learn = format!("learn = {{ hot = \"hot\", pair_lag_ps = 2.0, {learn} }}");
        let jump = format!("proposer = \"jump\"\n[strategy.options]\nmodel = {model:?}\n{learn}");
        let file = settings(folder, name, &jump);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("epochs = 2", &format!("epochs = {epochs}"))).unwrap();
        file
    };
    let replay = format!("steps = 12, replay = {{ data = {data:?}, systems = [\"AEAN\"] }}");
    // Two lessons or three: one is left out when the runs kept for judging share no microstate with the rest, and where
    // runs go depends on the surrogate's weights.
    let file = learning("learns", &replay, 4);
    let mut lessons = Vec::new();
    for name in ["whole", "stopped"] {
        let out = folder.join(name);
        adaptive::begin(&host, &file, &out).unwrap_or_else(|e| panic!("{e:#}"));
        if name == "stopped" {
            let mut stop = StopAt("learns, step 5");
            let error = adaptive::go_on(&host, &out, Limits::default(), &mut stop).unwrap_err();
            assert!(format!("{error:#}").contains("run it again to go on"), "{error:#}");
            assert!(out.join("lessons/epoch_001.safetensors.state").is_file());
        }
        let (ended, h) = go(&host, &out);
        assert_eq!((ended, h.epochs.len()), (Ended::Complete, 4));
        let all = adaptive::lessons(&out).unwrap();
        let epochs: Vec<_> = all.iter().map(|l| l.epoch).collect();
        assert!(epochs.len() >= 2 && epochs[0] == 1 && epochs.is_sorted(), "{epochs:?}");
        assert_eq!(all[0].runs, [2, 1]);
        for lesson in &all {
            assert!(lesson.before.is_some_and(|b| (b > lesson.after) == lesson.kept), "{all:?}");
        }
        let path = |e: &usize, end: &str| out.join(format!("lessons/epoch_00{e}.safetensors{end}"));
        assert!(!epochs.iter().any(|e| path(e, ".state").exists()));
        let card = out.join("lessons/epoch_001.safetensors");
        let card = marsfm::surrogate::checkpoint::read_card(&card).unwrap();
        let systems = card.training.unwrap().systems;
        assert!(systems.contains_key("QLAQ, another loop's"), "{systems:?}");
        assert!(systems.contains_key("QLAQ") && systems.contains_key("AEAN"), "{systems:?}");
        assert_eq!(card.domain.lag_ps, 2.0);
        lessons
            .push(epochs.iter().map(|e| std::fs::read(path(e, "")).unwrap()).collect::<Vec<_>>());
    }
    assert!(lessons[0] == lessons[1], "a lesson that was stopped ends up with other weights");
    let page = adaptive::compare(&[folder.join("whole")]).unwrap();
    let page = adaptive::write_report(&page, &folder.join("report")).unwrap();
    assert!(std::fs::read_to_string(page).unwrap().contains("runs judged on"));

    // One that begins from nothing draws no whole chain after so few steps: frames of MD go on.
    let out = folder.join("scratch");
    let scratch = learning("scratch", "steps = 3, from = \"scratch\"", 2);
    adaptive::begin(&host, &scratch, &out).unwrap();
    let (ended, h) = go(&host, &out);
    assert_eq!((ended, adaptive::lessons(&out).unwrap()[0].before), (Ended::Complete, None));
    assert!(h.plans[1].seeds.iter().all(|s| s.class == "visited"), "{:?}", h.plans[1].seeds);

    // What cannot be.
    for (from, to, says) in [
        ("pair_lag_ps = 2.0", "pair_lag_ps = 2.1", "no multiple of model.msm_lag_ps"),
        ("steps = 12", "steps = 0", "steps and batch are at least 1"),
        ("hot = \"hot\"", "cold = \"hot\"", "unknown field `cold`"),
    ] {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(folder.join("wrong.toml"), text.replace(from, to)).unwrap();
        let error = adaptive::check(&host, &folder.join("wrong.toml")).err().unwrap();
        assert!(format!("{error:#}").contains(says), "{error:#}");
    }
}
