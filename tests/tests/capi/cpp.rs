//! The C++ header: the example, and a program that uses all of it, as C++11 to C++20.

use std::process::Command;

use crate::support::*;

#[test]
fn the_wrapper_owns_throws_and_reads_what_c_reads() {
    let data = root().join("examples/data/QLAQ");
    for standard in ["-std=c++11", "-std=c++17", "-std=c++20"] {
        let Some(program) = compile_cpp("tests/cpp/wrapper.cpp", standard, "wrapper") else {
            marsfm_test_support::skip("the C++ header", "no C++ compiler");
            return;
        };
        run(Command::new(program)
            .arg(peptide())
            .arg(default_model())
            .arg(bench())
            .arg(data.join("QLAQ.pdb"))
            .args((0..2).map(|r| data.join(format!("r{r}.xtc")))));
    }
}

#[test]
fn the_example_in_cpp_gives_what_the_one_in_c_gives() {
    let Some(program) = compile_cpp("examples/cpp/hello_jump.cpp", "-std=c++11", "hello-cpp")
    else {
        marsfm_test_support::skip("the C++ example", "no C++ compiler");
        return;
    };
    let of = |program| {
        let mut command = Command::new(program);
        let output = text(&run(command.arg(peptide()).arg(default_model())));
        output.lines().last().unwrap_or_default().to_owned()
    };
    let c = compile("examples/c/hello_jump.c", "-std=c99", "hello-for-cpp");
    let ending = of(program);
    assert!(ending.ends_with("of 8 jumps can start MD"), "{ending}");
    assert_eq!(ending, of(c));
}
