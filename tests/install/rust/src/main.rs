//! As ../hello.c, in Rust over the C ABI.
use std::ffi::{c_char, c_void, CStr, CString};
use std::ptr::{null, null_mut};

extern "C" {
    fn marsfm_topology_new_from_file(path: *const c_char, out: *mut *mut c_void) -> i32;
    fn marsfm_topology_sequence(t: *const c_void, b: *mut c_char, n: usize, need: *mut usize) -> i32;
    fn marsfm_topology_free(topology: *mut c_void);
    fn marsfm_model_load(path: *const c_char, options: *const c_void, out: *mut *mut c_void) -> i32;
    fn marsfm_model_text(m: *const c_void, w: i32, b: *mut c_char, n: usize, need: *mut usize)
        -> i32;
    fn marsfm_model_free(model: *mut c_void);
    fn marsfm_last_error_message(buffer: *mut c_char, n: usize, need: *mut usize) -> i32;
}

fn text(buffer: &[c_char]) -> String {
    unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_string_lossy().into_owned()
}

fn check(status: i32) {
    if status != 0 {
        let mut buffer = [0; 1024];
        unsafe { marsfm_last_error_message(buffer.as_mut_ptr(), buffer.len(), null_mut()) };
        panic!("status {status}: {}", text(&buffer));
    }
}

fn main() {
    let path = CString::new(std::env::args().nth(1).expect("a PDB file")).expect("no NUL");
    let (mut topology, mut model, mut buffer) = (null_mut(), null_mut(), [0; 256]);
    let (at, size) = (buffer.as_mut_ptr(), buffer.len());
    unsafe {
        check(marsfm_topology_new_from_file(path.as_ptr(), &mut topology));
        check(marsfm_topology_sequence(topology, at, size, null_mut()));
        println!("sequence {}", text(&buffer));
        check(marsfm_model_load(null(), null(), &mut model));
        check(marsfm_model_text(model, 1, at, size, null_mut()));
        println!("model {}", text(&buffer));
        marsfm_model_free(model);
        marsfm_topology_free(topology);
    }
}
