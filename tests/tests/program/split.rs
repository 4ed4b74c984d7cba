//! `marsfm split` with the real MMseqs2 on families of related sequences.

use crate::support::run;

/// Families of sequences of which 60 % are alike within a family, nothing between them.
fn families(n: usize, members: usize) -> String {
    const LETTERS: &[u8] = b"ACDEFGHIKLMNPQRSTVWY";
    let mut state = 88172645463325252_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut text = String::new();
    for family in 0..n {
        let base: Vec<u8> = (0..120 + 3 * family).map(|_| LETTERS[random(20)]).collect();
        for member in 0..members {
            let changed =
                base.iter().map(|l| if random(10) < 4 { LETTERS[random(20)] } else { *l });
            let letters: Vec<u8> = changed.collect();
            text += &format!(
                ">family{family}_{member} a comment\n{}\n",
                String::from_utf8(letters).unwrap()
            );
        }
    }
    text
}

#[test]
fn families_stay_together_and_the_result_is_proved() {
    if std::process::Command::new("mmseqs").arg("version").output().is_err() {
        let why = "MMseqs2 is not installed (Debian: mmseqs2)";
        marsfm_test_support::skip("families_stay_together_and_the_result_is_proved", why);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let fasta = folder.path().join("all.fasta");
    std::fs::write(&fasta, families(20, 3)).unwrap();
    let (fasta, out) = (fasta.display().to_string(), folder.path().join("split"));
    let arguments =
        ["split", &fasta, "--test", "0.2", "--json", "--out", &out.display().to_string()];
    let (code, text, error) = run(&arguments);
    assert_eq!(code, Some(0), "{error}");
    let s: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((s["sequences"].as_u64(), s["clusters"].as_u64()), (Some(60), Some(20)), "{text}");
    let mut seen = std::collections::BTreeMap::new();
    for set in ["train", "validation", "test"] {
        let names = s[set].as_array().unwrap();
        let written = std::fs::read_to_string(out.join(format!("{set}.fasta"))).unwrap();
        assert_eq!(written.matches('>').count(), names.len());
        for name in names {
            let name = name.as_str().unwrap();
            let family = name.split('_').next().unwrap().to_string();
            assert!(written.contains(&format!(">{name}\n")));
            assert_eq!(*seen.entry(family).or_insert(set), set, "{name} is in another set");
        }
    }
    assert_eq!((s["test"].as_array().unwrap().len(), seen.len()), (12, 20));
    for proof in s["proofs"].as_array().unwrap() {
        assert!(proof["highest_identity"].as_f64().is_none_or(|i| i <= 0.2), "{proof}");
    }
    // Everything alike: there is nothing to split, and nothing is written.
    std::fs::write(folder.path().join("one.fasta"), families(1, 12)).unwrap();
    let one = folder.path().join("one.fasta").display().to_string();
    let none = folder.path().join("none");
    let (code, _, error) = run(&["split", &one, "--out", &none.display().to_string()]);
    assert_eq!(code, Some(1));
    assert!(error.contains("no cluster fits") && !none.exists(), "{error}");
}
