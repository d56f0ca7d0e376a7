//! Key sets in the configuration, or in a file that it names.

use crate::{
    block::problem::{Place, Report},
    jwks::{self, Jwk},
    part::algorithm::JwtAlgorithm,
};

/// Checks that a set can verify tokens of these algorithms; `name` is the name of its file.
pub(crate) fn check(
    text: &[u8],
    name: Option<&str>,
    algorithms: &[JwtAlgorithm],
    place: &Place,
    report: &mut Report,
) {
    let of = name.map_or_else(String::new, |name| format!("{name:?}: "));
    let set = match jwks::parse(text) {
        Ok(set) => set,
        Err(error) => {
            let help = "write the JSON that the issuer publishes at its `jwks_uri`";
            report.error(place, "bad-jwks", format!("{of}{error}"), help);
            return;
        }
    };
    for skipped in set.skipped.iter().filter(|skipped| skipped.why.is_defect()) {
        let help = "remove or correct the key";
        report.warning(
            place,
            "unusable-key",
            format!("{of}a key is skipped: {skipped}"),
            help,
        );
    }
    let fits = |key: &Jwk| {
        let named =
            |algorithm: &&JwtAlgorithm| key.algorithm.is_none_or(|only| only == **algorithm);
        algorithms
            .iter()
            .filter(named)
            .any(|algorithm| key.material.fits(*algorithm))
    };
    if !algorithms.is_empty() && !set.keys.iter().any(fits) {
        let message = format!(
            "{of}no key of the set fits one of the `algorithms`, so every token would be rejected"
        );
        report.error(
            place,
            "bad-jwks",
            message,
            "add the algorithm that the issuer signs with",
        );
    }
}
