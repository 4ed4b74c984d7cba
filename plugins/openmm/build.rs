//! Compiles the C++ guard. OpenMM itself is not needed to build.

fn main() {
    println!("cargo:rerun-if-changed=cpp/guard.cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(true)
        .extra_warnings(true)
        .flag_if_supported("-fvisibility=hidden")
        .file("cpp/guard.cpp")
        .compile("marsfm_openmm_guard");
    println!("cargo:rustc-link-lib=dl");
}
