//! Pages of apps: read whole or not at all, families brought together, names of the proxy left out.

use outrigger_monitor::exposition::{Broken, Page, Syntax};

fn written(text: &str, from: Syntax, to: Syntax) -> String {
    let mut out = String::new();
    Page::read(text, from).unwrap().write(to, &mut out);
    out
}

#[test]
fn a_page_is_kept_as_it_is() {
    let text = "# HELP a_total Things, \\\\ and \\n.\n# TYPE a_total counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 2 1700000000000\n\
                # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\nb NaN\n";
    assert_eq!(written(text, Syntax::Text, Syntax::Text), text);
    let text = "# TYPE a counter\n# UNIT a seconds\na_total{x=\"1\"} 1 # {trace_id=\"t\"} 0.5 1.5\na_created{x=\"1\"} 1.5\n# TYPE i info\ni_info{v=\"1\"} 1\n";
    let page = format!("{text}# EOF\n");
    assert_eq!(
        written(&page, Syntax::OpenMetrics, Syntax::OpenMetrics),
        text
    );
}

#[test]
fn comments_that_stand_twice_and_families_that_stand_apart_are_brought_together() {
    let text = "# HELP a one\n# TYPE a gauge\na{x=\"1\"} 1\n# TYPE b gauge\nb 1\n# HELP a two\n# TYPE a counter\na{x=\"2\"} 2\n# a remark\n\n";
    let expected =
        "# HELP a one\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\n# TYPE b gauge\nb 1\n";
    assert_eq!(written(text, Syntax::Text, Syntax::Text), expected);
}

#[test]
fn mon_01_what_is_not_a_page_is_left_out_as_a_whole() {
    for (text, syntax, broken) in [
        (
            "<!doctype html>\n<title>404</title>",
            Syntax::Text,
            Broken::Line(1),
        ),
        ("a 1\n{\"error\":1}\n", Syntax::Text, Broken::Line(2)),
        ("# TYPE a thing\na 1\n", Syntax::Text, Broken::Line(1)),
        ("# HELP 9 x\n", Syntax::Text, Broken::Line(1)),
        ("a{x=\"1\n", Syntax::Text, Broken::Line(1)),
        ("a{\n", Syntax::Text, Broken::Line(1)),
        ("a 1\n", Syntax::OpenMetrics, Broken::End),
        ("a 1\n# EOF\na 2\n", Syntax::OpenMetrics, Broken::End),
    ] {
        assert_eq!(Page::read(text, syntax).unwrap_err(), broken, "{text:?}");
    }
    assert_eq!(Page::read("", Syntax::Text).unwrap().samples(), 0);
    // In text it is a comment like any other.
    assert_eq!(written("a 1\n# EOF\n", Syntax::Text, Syntax::Text), "a 1\n");
}

#[test]
fn openmetrics_that_comes_unasked_becomes_text() {
    let page = "# HELP a Said \\\"so\\\".\n# TYPE a counter\n# UNIT a seconds\na_total{x=\"1\"} 1 12.5 # {trace_id=\"t\"} 0.5\na_created{x=\"1\"} 1.5\n\
                # TYPE i info\ni_info{v=\"1\"} 1\n# TYPE u unknown\nu 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum 1\nh_created 1\n# EOF\n";
    let expected = "# HELP a_total Said \"so\".\n# TYPE a_total counter\na_total{x=\"1\"} 1 12500\n# TYPE i_info gauge\ni_info{v=\"1\"} 1\n\
                    # TYPE u untyped\nu 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum 1\n";
    assert_eq!(written(page, Syntax::OpenMetrics, Syntax::Text), expected);
}

#[test]
fn families_with_names_of_the_proxy_are_left_out() {
    let text = "outrigger_requests 1\n# TYPE outrigger_panics_total counter\noutrigger_panics_total 1\noutrigger_own 1\nother_total 1\n";
    let mut page = Page::read(text, Syntax::Text).unwrap();
    assert_eq!(
        page.without(&["outrigger_requests_total", "outrigger_panics_total"]),
        2
    );
    let mut out = String::new();
    page.write(Syntax::Text, &mut out);
    assert_eq!(out, "outrigger_own 1\nother_total 1\n");
}

/// Whatever an app sends, reading it never panics.
#[test]
fn cut_and_changed_pages_never_panic() {
    let page =
        "# HELP a b\n# TYPE a counter\na_total{x=\"1\\\"\",y=\"ü\"} 1 2 # {t=\"u\"} 0.5 1\n# EOF\n";
    for syntax in [Syntax::Text, Syntax::OpenMetrics] {
        for at in (0..=page.len()).filter(|at| page.is_char_boundary(*at)) {
            let _ = Page::read(&page[..at], syntax);
            for other in ["{", "}", "\"", "#", " ", "\n", "\\", "="] {
                let _ = Page::read(&format!("{}{other}{}", &page[..at], &page[at..]), syntax);
            }
        }
    }
}
