//! The element of an atom from what a file says, or guessed from the atom's name. For readers of
//! formats that do not tell it reliably.

const TWO: [&str; 22] = [
    "Cl", "Br", "Na", "Mg", "Zn", "Fe", "Mn", "Cu", "Co", "Ni", "Se", "Si", "Li", "Al", "Ca", "Cd",
    "Hg", "Cs", "Ba", "Sr", "Rb", "Ag",
];

/// Symbol with proper case. `field`: the element column; `name`: the trimmed atom name; `residue`:
/// its residue; `left`: true if the name begins in the first of the PDB's four name columns,
/// where two-letter elements (and four-letter names) begin.
pub fn element(field: &str, name: &str, residue: &str, left: bool) -> String {
    let field = field.trim();
    if !field.is_empty() && field.len() <= 2 && field.bytes().all(|b| b.is_ascii_alphabetic()) {
        return cased(field);
    }
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    let Some(first) = letters.chars().next() else { return String::new() };
    // An ion is a residue of one atom that has its name: CA in residue CA is calcium.
    let ion = residue.trim_end_matches(['+', '-']).eq_ignore_ascii_case(&letters);
    if letters.len() >= 2 && letters.is_char_boundary(2) {
        let two = cased(&letters[..2]);
        let known = TWO.contains(&two.as_str());
        let unambiguous = matches!(two.as_str(), "Cl" | "Br" | "Zn" | "Fe" | "Mg" | "Mn" | "Se")
            && left
            && letters.len() == 2;
        if known && (ion || unambiguous) {
            return two;
        }
    }
    cased(&first.to_string())
}

/// True for the residue names of water.
pub fn is_water(residue: &str) -> bool {
    const WATER: &[&str] =
        &["HOH", "WAT", "SOL", "H2O", "TIP", "TIP3", "TIP4", "TIP5", "TP3", "SPC", "OPC", "DOD"];
    WATER.contains(&residue.to_ascii_uppercase().as_str())
}

fn cased(symbol: &str) -> String {
    let mut chars = symbol.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars.map(|c| c.to_ascii_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::element;

    #[test]
    fn the_column_wins_and_guesses_know_proteins_and_ions() {
        assert_eq!(element("CL", "CL", "CL", true), "Cl");
        assert_eq!(element("", "CA", "ALA", false), "C");
        assert_eq!(element("", "CA", "CA", true), "Ca");
        assert_eq!(element("", "NA", "NA+", true), "Na");
        assert_eq!(element("", "1HB", "ALA", true), "H");
        assert_eq!(element("", "HG11", "VAL", true), "H");
        assert_eq!(element("", "SE", "MSE", true), "Se");
        assert_eq!(element("", "SG", "CYS", false), "S");
        assert_eq!(element("", "42", "UNK", false), "");
    }
}
