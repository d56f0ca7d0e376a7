//! Tables that are readable as text and as Markdown.

use std::fmt::Write;

/// A Markdown table; the last column, whose text may be long, is not padded.
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let wide = if column + 1 == N { 0 } else { width(column) };
            let _ = write!(text, "| {cell:wide$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for column in 0..N {
                let _ = write!(
                    text,
                    "|{:-<1$}",
                    "",
                    if column + 1 == N {
                        3
                    } else {
                        width(column) + 2
                    }
                );
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_one_may_be_long() {
        let rows = [["", "p50", "failures"], ["direct", "1.5", "12 status 503"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            aligned(&rows),
            "|        | p50 | failures |\n|--------|-----|---|\n| direct | 1.5 | 12 status 503 |\n"
        );
    }
}
