//! Gives libmarsfm its SONAME, which changes with the ABI major and with nothing else.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmarsfm.so.0");
}
