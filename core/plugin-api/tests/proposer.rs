//! The table of a proposer in Rust: panics and answers that do not fit become statuses, and the
//! caller's memory stays as it was.

use marsfm_plugin_api::abi::*;
use marsfm_plugin_api::proposer_abi::*;
use marsfm_plugin_api::{
    AtomRecord, PluginError, Proposed, ProposerPlugin, RowsBuffer, Wanted, last_error,
    proposer_table,
};
use std::ffi::CStr;

/// Does what its options name.
struct Wrong(String);

impl ProposerPlugin for Wrong {
    const NAME: &'static CStr = c"wrong";

    fn open(_: &[AtomRecord], options: &str) -> Result<Self, PluginError> {
        assert!(options != "panic at once", "no atoms for me");
        Ok(Self(options.into()))
    }

    fn propose(&mut self, request: &Wanted<'_>) -> Result<Vec<Proposed>, PluginError> {
        let good = Proposed { positions_nm: request.parents_nm[0].to_vec(), parent: Some(0) };
        Ok(match self.0.as_str() {
            "panic" => panic!("it broke"),
            "error" => return Err(PluginError::unsupported("not today")),
            "many" => vec![good; request.n + 1],
            "atoms" => vec![Proposed { positions_nm: vec![[0.0; 3]; 3], parent: None }],
            "parent" => vec![Proposed { parent: Some(9), ..good }],
            _ => vec![good; request.n - 1],
        })
    }
}

fn text() -> String {
    let mut buffer = vec![0u8; last_error(std::ptr::null_mut(), 0)];
    last_error(buffer.as_mut_ptr().cast(), buffer.len());
    buffer.pop();
    String::from_utf8(buffer).unwrap()
}

/// Status, its text, proposals claimed, and the memory they were to be written to.
fn ask(options: &CStr, n_atoms: usize) -> (i32, String, usize, Vec<f64>, Vec<i64>) {
    let table = proposer_table::<Wrong>();
    let rows = RowsBuffer::new(&[AtomRecord::default(), AtomRecord::default()]).unwrap();
    let mut handle = std::ptr::null_mut();
    let status = table.open.unwrap()(&rows.as_rows(), options.as_ptr(), &mut handle);
    assert_eq!(status, MARSFM_PLUGIN_OK);
    let (frames, counts) = ([[[1.0, 2.0, 3.0]; 2]; 2], [4u64, 5]);
    let request = ProposeRequest {
        struct_size: size_of::<ProposeRequest>(),
        n_atoms,
        n_wanted: 3,
        rng_seed: 1,
        epoch: 0,
        temperature_kelvin: 300.0,
        n_parents: 2,
        parents_nm: frames.as_flattened().as_flattened().as_ptr(),
        parent_counts: counts.as_ptr(),
    };
    let (mut n, mut xyz, mut parents) = (77, vec![-1.0; 18], vec![-9; 3]);
    let (to, of) = (xyz.as_mut_ptr(), parents.as_mut_ptr());
    let status = table.propose.unwrap()(handle, &request, to, of, &mut n);
    let said = text();
    table.close.unwrap()(handle);
    (status, said, n, xyz, parents)
}

#[test]
fn what_goes_wrong_is_a_status_and_leaves_the_caller_s_memory_alone() {
    let cases = [
        (c"panic", 2, MARSFM_PLUGIN_PANIC, "it broke"),
        (c"error", 2, MARSFM_PLUGIN_UNSUPPORTED, "not today"),
        (c"many", 2, MARSFM_PLUGIN_MISMATCH, "4 proposals were made, 3 are wanted"),
        (c"atoms", 2, MARSFM_PLUGIN_MISMATCH, "proposal 0 has 3 atoms, the topology has 2"),
        (c"parent", 2, MARSFM_PLUGIN_INVALID, "proposal 0 comes from frame 9 of 2"),
        (c"good", 1, MARSFM_PLUGIN_MISMATCH, "request of 1 atoms, topology has 2"),
    ];
    for (options, n_atoms, status, says) in cases {
        let (got, said, n, xyz, parents) = ask(options, n_atoms);
        assert_eq!(got, status, "{options:?}");
        assert!(said.contains(says), "{options:?}: {said}");
        assert_eq!((n, xyz, parents), (77, vec![-1.0; 18], vec![-9; 3]), "{options:?}");
    }
    let (status, _, n, xyz, parents) = ask(c"good", 2);
    assert_eq!((status, n, parents), (MARSFM_PLUGIN_OK, 2, vec![0, 0, -9]));
    assert_eq!((&xyz[..3], &xyz[12..]), (&[1.0, 2.0, 3.0][..], &[-1.0; 6][..]));

    let table = proposer_table::<Wrong>();
    let rows = RowsBuffer::new(&[AtomRecord::default()]).unwrap();
    let mut handle = std::ptr::null_mut();
    let open = table.open.unwrap();
    let status = open(&rows.as_rows(), c"panic at once".as_ptr(), &mut handle);
    assert_eq!((status, handle.is_null()), (MARSFM_PLUGIN_PANIC, true));
    let (none, request) = (std::ptr::null_mut(), std::ptr::null());
    let propose = table.propose.unwrap();
    let status = propose(none, request, std::ptr::null_mut(), std::ptr::null_mut(), &mut 0);
    assert_eq!(status, MARSFM_PLUGIN_INVALID);
    table.close.unwrap()(none);
}
