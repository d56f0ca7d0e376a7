//! "Did you mean": the closest known word by edit distance.

/// The word closest to `written`, when it is close enough to be a typo.
pub(crate) fn closest<'a>(
    written: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let folded = fold(written);
    let limit = (folded.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|word| (distance(&folded, &fold(word)), word))
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

/// Edits (insert, remove, replace, swap neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replace = last[j] + usize::from(a[i] != b[j]);
            let mut best = replace.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
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
