//! "Did you mean": the closest known word by edit distance; two swapped neighbours are one edit.

use strsim::osa_distance;

/// The word closest to `written`, when it is close enough to be a typo.
pub(crate) fn closest<'a>(
    written: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let folded = fold(written);
    let limit = (folded.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|word| (osa_distance(&folded, &fold(word)), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `request_headers`, `request-headers` and `requestHeaders` are spellings of the same word.
fn fold(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word_is_found_across_spellings() {
        let words = ["hostnames", "listeners", "requestHeaders", "name"];
        for (written, expected) in [
            ("hostname", Some("hostnames")),
            ("hosts", None),
            ("lisetners", Some("listeners")),
            ("request_headers", Some("requestHeaders")),
            ("RequestHeaders", Some("requestHeaders")),
            ("nmae", Some("name")),
            ("zzz", None),
        ] {
            assert_eq!(closest(written, words), expected, "{written}");
        }
    }
}
