//! Inserts the ConfigMap of a workload: after it, as an item of the same list or as a separate
//! document.

use crate::{
    config_map::{ConfigMap, Opening},
    object::Object,
    place::may_change,
    problem::Wrong,
    stream::{Source, add_document},
    yaml::{
        Document,
        edit::Edits,
        splice::{At, Splice},
        value::Value,
    },
};

/// Inserts a ConfigMap after its workload. `opened`: an earlier ConfigMap already made the stream
/// begin with `---`.
///
/// # Errors
/// It cannot be inserted there.
pub(crate) fn put(
    source: &Source<'_>,
    document: &Document<'_>,
    object: Object,
    map: &ConfigMap,
    splice: &mut Splice<'_, '_>,
    opened: &mut bool,
) -> Result<(), Wrong> {
    if let Some((list, index)) = object.item {
        may_change(&document.tree, list, "items")?;
        splice.add_item(list, list, At::Behind(index), &map.object(Opening::None));
        return Ok(());
    }
    let mark = source.text.len() - source.text.trim_start_matches('\u{feff}').len();
    // kubectl reads text that begins with `{` as JSON to its end.
    if !source.text[mark..].trim_start().starts_with('{') {
        return add_document(splice, document, &map.object(Opening::None));
    }
    let root = document.tree.node(0);
    if splice.json && source.text[mark..root.start].trim().is_empty() {
        wrap(
            root.start,
            root.end,
            &map.object(Opening::List),
            &mut splice.edits,
        );
        return Ok(());
    }
    let opening = if *opened {
        Opening::None
    } else {
        Opening::Marker
    };
    add_document(splice, document, &map.object(opening))?;
    if !std::mem::replace(opened, true) {
        splice
            .edits
            .insert_lines(mark, format!("---{}", source.newline), 0);
    }
    Ok(())
}

/// The text before the object of a JSON text that becomes a list of two.
const BEFORE: &str = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [";

fn wrap(start: usize, end: usize, map: &Value, edits: &mut Edits) {
    edits.insert(start, BEFORE);
    edits.insert(end, format!(", {}]}}", map.inline(true)));
}
