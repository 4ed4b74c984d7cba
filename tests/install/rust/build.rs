//! Asks pkg-config where marsfm is.
fn main() {
    let output = std::process::Command::new("pkg-config").args(["--libs-only-L", "marsfm"]).output();
    let output = output.expect("pkg-config runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let folder = text.trim().strip_prefix("-L").expect("-L and a folder");
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-lib=dylib=marsfm");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
}
