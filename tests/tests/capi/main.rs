//! libmarsfm as C programs see it: the example and the programs of `tests/c`, compiled against
//! `include/marsfm.h` and the built library; what the library exports; memory under valgrind. `cpp`
//! is the same for C++.

mod cpp;
mod support;

use std::process::Command;

use support::*;

#[test]
fn atoms_come_back_in_the_callers_order_and_layout() {
    let program = compile("tests/c/order.c", "-std=c99", "order");
    run(Command::new(program).arg(peptide()).arg(model()));
}

/// A file that is no model, and a model that takes a temperature.
fn no_model_and_hot() -> [std::path::PathBuf; 2] {
    [root().join("README.md"), bench().join("hot.safetensors")]
}

#[test]
fn misuse_is_a_status_and_a_message() {
    let program = compile("tests/c/errors.c", "-std=c99", "errors");
    run(Command::new(program).arg(peptide()).arg(model()).args(no_model_and_hot()));
}

#[test]
fn trees_report_progress_stop_and_keep_other_threads_out() {
    let program = compile("tests/c/tree.c", "-std=c11", "tree");
    run(Command::new(program).arg(peptide()).arg(model()));
}

#[test]
fn a_markov_model_is_built_from_files() {
    let program = compile("tests/c/msm.c", "-std=c99", "msm");
    let data = root().join("examples/data/QLAQ");
    let trajectories = (0..4).map(|r| data.join(format!("r{r}.xtc")));
    run(Command::new(program).arg(data.join("QLAQ.pdb")).args(trajectories));
}

#[test]
fn a_markov_model_is_built_of_a_callers_own_numbers() {
    let program = compile("tests/c/rows.c", "-std=c99", "rows");
    run(&mut Command::new(program));
}

#[test]
fn a_loop_is_run_stopped_gone_on_with_and_reported() {
    let program = compile("tests/c/loop.c", "-std=c99", "loop");
    let (folder, settings) = (bench().join("my-loop"), root().join("examples/loop/toy.toml"));
    _ = std::fs::remove_dir_all(&folder);
    let (own, report) = (folder.join("loop"), folder.join("report"));
    let page = report.join("report.html");
    run(Command::new(program).args([&settings, &own, &report, &page]));
}

#[test]
fn jumps_are_drawn_while_the_caller_goes_on() {
    let program = compile("tests/c/jobs.c", "-std=c11", "jobs");
    run(Command::new(program).arg(peptide()).arg(model()));
}

#[test]
fn a_markov_model_is_built_of_frames_from_memory_and_updated() {
    let program = compile("tests/c/recorded.c", "-std=c99", "recorded");
    let data = root().join("examples/data/QLAQ");
    let trajectories = (0..3).map(|r| data.join(format!("r{r}.xtc")));
    let mut command = Command::new(program);
    run(command.arg(data.join("QLAQ.pdb")).arg(bench().join("m.safetensors")).args(trajectories));
}

#[test]
fn seeds_are_written_with_the_callers_names() {
    let program = compile("tests/c/seeds.c", "-std=c99", "seeds");
    let mut command = Command::new(program);
    command.arg(peptide()).arg(default_model()).arg(bench()).args(["pdb", "xtc"]);
    if release().join("libmarsfm_plugin_chemfiles.so").is_file() {
        command.args(["gro", "trr"]);
    } else {
        marsfm_test_support::skip("GRO and TRR seeds", "the chemfiles plugin is not built");
    }
    run(&mut command);
}

#[test]
fn the_example_in_c_and_in_rust_gives_eight_jumps() {
    let model = default_model();
    let mut endings = Vec::new();
    for standard in ["-std=c99", "-std=c11", "-std=c17"] {
        let program = compile("examples/c/hello_jump.c", standard, &format!("hello{standard}"));
        let mut command = Command::new(program);
        let output = text(&run(command.env("MARSFM_MODEL", &model).current_dir(root())));
        let rows = output
            .lines()
            .filter(|l| ["accepted", "needs repair", "rejected"].iter().any(|v| l.contains(v)));
        assert_eq!(rows.count(), 8, "{output}");
        endings.push(output.lines().last().unwrap_or_default().to_owned());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut example = Command::new(cargo);
    example.args(["run", "--release", "--quiet", "--example", "hello_jump"]);
    let output = text(&run(example.env("MARSFM_MODEL", &model).current_dir(root())));
    assert_eq!(output.lines().filter(|l| l.starts_with("sample ")).count(), 8, "{output}");
    endings.push(output.lines().last().unwrap_or_default().to_owned());
    assert!(endings[0].ends_with("of 8 jumps can start MD"));
    assert!(endings.iter().all(|e| *e == endings[0]), "{endings:?}");
}

/// MD of its own, a model, jumps, MD from there, the model updated: all frames from memory.
#[test]
fn a_program_that_is_its_own_engine_loops() {
    let program = compile("examples/c/adaptive.c", "-std=c99", "adaptive");
    let mut command = Command::new(program);
    command.env("MARSFM_MODEL", default_model()).current_dir(root());
    let output = text(&run(&mut command));
    let epochs: Vec<&str> = output.lines().filter(|l| l.starts_with("epoch ")).collect();
    assert_eq!(epochs.len(), 4, "{output}");
    assert!(epochs[3].starts_with("epoch 3: 4160 ps of MD, 3840 frames counted"), "{output}");
    for line in epochs {
        let (_, numbers) = line.split_once("populations ").expect("populations");
        let sum: f64 = numbers.split(' ').map(|p| p.parse::<f64>().expect("a number")).sum();
        assert!((sum - 1.0).abs() < 0.03, "{line}");
    }
    let jumped: usize = output
        .lines()
        .filter_map(|l| {
            l.trim().split_once(" of 4 runs began with a jump")?.0.parse::<usize>().ok()
        })
        .sum();
    assert!((1..=12).contains(&jumped), "{output}");
}

#[test]
fn the_static_library_links() {
    let bench = bench();
    let program = bench.join("static");
    run(Command::new("cc")
        .args(["-std=c99", "-I"])
        .arg(root().join("include"))
        .arg(root().join("examples/c/hello_jump.c"))
        .arg(release().join("libmarsfm.a"))
        .args("-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc".split(' '))
        .arg("-o")
        .arg(&program));
    run(Command::new(&program).arg(peptide()).arg(model()));
    // The default model is found from the place of the program: here there is none.
    let output = Command::new(&program).arg(peptide()).env_remove("MARSFM_MODEL").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("MARSFM_ERROR_FILE") && errors.contains("MARSFM_MODEL"), "{errors}");
}

#[test]
fn the_library_exports_what_it_means_to_and_has_its_soname() {
    let library = bench().join("libmarsfm.so");
    let symbols = text(&run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library)));
    let mut exported: Vec<&str> =
        symbols.lines().filter_map(|l| l.split_whitespace().last()).collect();
    exported.sort_unstable();
    let listed = std::fs::read_to_string(root().join("core/capi/exported-symbols.txt")).unwrap();
    assert_eq!(exported, listed.lines().collect::<Vec<_>>());
    assert!(exported.len() > 30 && exported.iter().all(|s| s.starts_with("marsfm_")));
    let dynamic = text(&run(Command::new("readelf").arg("-d").arg(&library)));
    assert!(dynamic.contains("soname: [libmarsfm.so.0]"), "{dynamic}");
}

#[test]
fn nothing_is_lost_or_read_out_of_bounds() {
    let there =
        Command::new("valgrind").arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        marsfm_test_support::skip("libmarsfm under valgrind", "valgrind is not installed");
        return;
    }
    for name in ["order", "errors", "seeds", "jobs"] {
        let program = compile(&format!("tests/c/{name}.c"), "-std=c11", &format!("{name}-v"));
        let mut valgrind = Command::new("valgrind");
        // Threads in turns: else one that polls can starve the one it waits for, for minutes.
        valgrind.args(["--fair-sched=try", "--quiet", "--error-exitcode=9", "--leak-check=full"]);
        valgrind.args(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]);
        let model = if name == "seeds" { default_model() } else { model() };
        valgrind.env("RAYON_NUM_THREADS", "1").arg(program).arg(peptide()).arg(model);
        match name {
            "errors" => valgrind.args(no_model_and_hot()),
            "seeds" => valgrind.arg(bench()).args(["pdb", "xtc"]),
            _ => &mut valgrind,
        };
        run(&mut valgrind);
    }
}
