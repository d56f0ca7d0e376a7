//! The HTML page, and functions to add text and tables to it.

use std::fmt::Write;

/// Styles for light and dark screens and for paper. The colors are those of Okabe and Ito.
const STYLE: &str = include_str!("page.css");

/// A complete page without external resources.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}</main>
</body>
</html>
",
        title = escape(title)
    )
}

/// Escaped text.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A table whose first row has the headings; numbers are right-aligned. A column that is empty
/// everywhere is omitted. A last cell beside empty cells spans them.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let used: Vec<_> = (0..N)
        .filter(|column| rows.iter().any(|row| !row[*column].is_empty()))
        .collect();
    let mut text = "<div class=\"wide\"><table>\n".to_owned();
    for (number, row) in rows.iter().enumerate() {
        let cell = if number == 0 { "th" } else { "td" };
        let empty = used
            .iter()
            .skip(1)
            .filter(|column| row[**column].is_empty())
            .count();
        let remark = number > 0 && empty + 2 >= used.len() && !row[N - 1].is_empty();
        text.push_str("<tr>");
        for (place, column) in used.iter().enumerate() {
            let content = escape(&row[*column]);
            // Writing to a string cannot fail.
            let _ = match place {
                0 => write!(
                    text,
                    "<th scope=\"{}\">{content}</th>",
                    if number == 0 { "col" } else { "row" }
                ),
                _ if remark => continue,
                // A cell that starts with text is text.
                _ if *column == N - 1 && number > 0 => {
                    write!(text, "<td class=\"remark\">{content}</td>")
                }
                _ => write!(text, "<{cell}>{content}</{cell}>"),
            };
        }
        if remark {
            let _ = write!(
                text,
                "<td class=\"remark\" colspan=\"{}\">{}</td>",
                used.len() - 1,
                escape(&row[N - 1])
            );
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table></div>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup_and_a_remark_takes_the_room_of_what_is_missing() {
        let rows = [
            ["", "a<b", "", "why"],
            ["x", "1", "", ""],
            ["y", "", "", "left out: \"&\""],
        ];
        let text = table(&rows.map(|row| row.map(str::to_owned)));
        assert!(
            text.contains("<th>a&lt;b</th>") && text.contains("<td>1</td>"),
            "{text}"
        );
        assert!(
            text.contains("<td class=\"remark\" colspan=\"2\">left out: &quot;&amp;&quot;</td>"),
            "{text}"
        );
    }
}
