//! A real Slurm of this one machine, started for a test. Needs the daemons (Debian: slurm-wlm,
//! munge) and root.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::root;

/// Daemons of the cluster; they end with it.
pub struct Cluster {
    folder: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let id = daemon.id().to_string();
            // SIGTERM first: slurmctld and slurmd then end what they started.
            let _ = Command::new("kill").arg(&id).status();
            let end = Instant::now() + Duration::from_secs(10);
            while matches!(daemon.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| e.to_string())?;
    let text = |b: &[u8]| String::from_utf8_lossy(b).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl Cluster {
    pub fn start() -> Result<Self, String> {
        for program in ["munged", "slurmctld", "slurmd", "sbatch", "sinfo"] {
            let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
            if !found.is_ok_and(|o| o.status.success()) {
                return Err(format!("there is no {program} here (Debian: slurm-wlm, munge)"));
            }
        }
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let path = folder.path().to_owned();
        let at = |name: &str| path.join(name).to_str().unwrap().to_owned();
        let host = output_of(&mut Command::new("hostname"))?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        std::fs::write(at("key"), [37u8; 128]).map_err(|e| e.to_string())?;
        output_of(Command::new("chmod").args(["600", &at("key")]))?;
        for name in ["state", "spool"] {
            std::fs::create_dir(at(name)).map_err(|e| e.to_string())?;
        }
        let conf = [
            "ClusterName=marsfm".into(),
            format!("SlurmctldHost={host}(127.0.0.1)"),
            "SlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge".into(),
            format!("AuthInfo=socket={}", at("munge.socket")),
            format!("SlurmctldPort={}\nSlurmdPort={}", free_port(), free_port()),
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none".into(),
            "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core".into(),
            "MpiDefault=none\nReturnToService=2\nSchedulerParameters=sched_interval=1".into(),
            format!("StateSaveLocation={}\nSlurmdSpoolDir={}", at("state"), at("spool")),
            format!("SlurmctldPidFile={}\nSlurmdPidFile={}", at("ctld.pid"), at("d.pid")),
            format!("NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN"),
            format!("PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP"),
        ];
        std::fs::write(at("slurm.conf"), conf.join("\n") + "\n").map_err(|e| e.to_string())?;
        let mut cluster = Self { folder, daemons: vec![] };
        let munged = [
            "--foreground".into(),
            "--force".into(),
            format!("--key-file={}", at("key")),
            format!("--socket={}", at("munge.socket")),
            format!("--pid-file={}", at("munge.pid")),
            format!("--seed-file={}", at("munge.seed")),
            format!("--log-file={}", at("munge.log")),
        ];
        cluster.daemon("munged", &munged)?;
        cluster.wait("munged", |c| Path::new(&c.at("munge.socket")).exists())?;
        cluster.daemon("slurmctld", &["-D".into(), "-f".into(), at("slurm.conf")])?;
        cluster.daemon("slurmd", &["-D".into(), "-f".into(), at("slurm.conf")])?;
        cluster.wait("the node", |c| {
            output_of(c.command("sinfo").args(["-h", "-o", "%T"])).is_ok_and(|s| s == "idle")
        })?;
        Ok(cluster)
    }

    pub fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.at("slurm.conf"));
        command
    }

    fn daemon(&mut self, program: &str, arguments: &[String]) -> Result<(), String> {
        let log = std::fs::File::create(self.at(&format!("{program}.out")));
        let log = log.map_err(|e| e.to_string())?;
        let child = self
            .command(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|e| e.to_string())?)
            .stderr(log)
            .spawn();
        self.daemons.push(child.map_err(|e| format!("{program}: {e}"))?);
        Ok(())
    }

    /// Waits a minute for something; the daemons' last words if it does not come.
    fn wait(&mut self, what: &str, there: impl Fn(&Self) -> bool) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if there(self) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let words = ["munged", "slurmctld", "slurmd"].map(|program| {
            let text = std::fs::read_to_string(self.at(&format!("{program}.out")));
            let text = text.unwrap_or_default();
            format!("{program}: {}", text.lines().last().unwrap_or("nothing").trim())
        });
        Err(format!("{what} did not come up here ({})", words.join("; ")))
    }

    /// Submits an array 1..=n of one command line and waits for its end.
    pub fn array(&self, n: usize, line: &str) {
        let log = self.at("job-%A-%a.log");
        let range = format!("--array=1-{n}");
        let wrap = format!("--wrap={line}");
        let output = self
            .command("sbatch")
            .args(["--wait", &range, "--output", &log, "--chdir"])
            .arg(root())
            .arg(wrap)
            .output()
            .unwrap();
        let logs = std::fs::read_dir(self.folder.path()).unwrap().filter_map(|e| {
            let path = e.unwrap().path();
            let job = path.extension().is_some_and(|x| x == "log");
            job.then(|| std::fs::read_to_string(path).unwrap_or_default())
        });
        let said: String = logs.collect();
        assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stderr));
    }
}
