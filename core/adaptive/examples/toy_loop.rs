//! A loop on the toy engine that kills itself where it is told to: `toy_loop FOLDER [POINT N]`
//! runs or goes on with the loop of FOLDER (begun from FOLDER.toml), and sends itself SIGKILL when
//! it passes POINT for the N-th time. The kill tests run it.

use std::cell::Cell;
use std::path::PathBuf;

use marsfm_adaptive::toy::{ToyEngine, proposer};
use marsfm_adaptive::{Driver, Limits, LoopError, LoopSettings, Watch};

struct Killer {
    at: Option<(String, usize)>,
    seen: Cell<usize>,
}

impl Watch for Killer {
    fn point(&self, name: &'static str) {
        let Some((point, n)) = &self.at else { return };
        if point == name {
            self.seen.set(self.seen.get() + 1);
            if self.seen.get() == *n {
                let me = rustix::process::getpid();
                rustix::process::kill_process(me, rustix::process::Signal::KILL).expect("a signal");
                std::thread::sleep(std::time::Duration::from_secs(5));
            }
        }
    }
}

fn main() -> Result<(), LoopError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, at) = match &arguments[..] {
        [folder] => (folder, None),
        [folder, point, n] => (folder, Some((point.clone(), n.parse().expect("a number")))),
        _ => return Err(LoopError::words("usage: toy_loop FOLDER [POINT N]")),
    };
    let folder = PathBuf::from(folder);
    let mut driver = if folder.join("journal").exists() {
        Driver::open(&folder)?
    } else {
        let file = folder.with_extension("toml");
        let text = std::fs::read_to_string(&file).map_err(|e| LoopError::io(&file, &e))?;
        let settings = LoopSettings::parse(&text)?;
        let engine = ToyEngine::open(&settings.engine.options, settings.budget.frame_ps)?;
        Driver::create(&folder, &settings, &engine)?
    };
    let settings = driver.settings().clone();
    let mut engine = ToyEngine::open(&settings.engine.options, settings.budget.frame_ps)?;
    let mut proposer = proposer(&settings.strategy, engine.toy())?;
    let mut watch = Killer { at, seen: Cell::new(0) };
    driver.run(&mut engine, proposer.as_mut(), Limits::default(), &mut watch)?;
    Ok(())
}
